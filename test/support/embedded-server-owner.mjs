// Starts an embedded server as `tower up` does, prints where it is, and waits to be killed.
import { fileURLToPath } from 'node:url';

import { pino } from 'pino';
import { runnerImport } from 'vite';

const source = fileURLToPath(new URL('../../src/temporal/embedded-server.ts', import.meta.url));
const { module } = await runnerImport(source, { logLevel: 'error', configFile: false });
const server = await module.startEmbeddedServer(JSON.parse(process.argv[2]), {
  signal: new AbortController().signal,
  log: pino({ level: 'silent' }),
});
process.stdout.write(`${JSON.stringify({ pid: server.pid, address: server.address })}\n`);
