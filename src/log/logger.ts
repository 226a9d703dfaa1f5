import type { Logger } from 'pino';

/** What services take for logging: a pino logger, so that bindings such as `runId` travel with it. */
export type Log = Logger;
