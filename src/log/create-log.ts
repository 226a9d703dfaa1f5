import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

import pino from 'pino';

import { describeError } from '../errors.js';
import type { Log } from './logger.js';

export interface LogOptions {
  /** JSON lines are appended here; the folder is made. Several processes may share the file: each line is one write. */
  readonly file: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Bound to every line, for example `gpu-worker`. */
  readonly role: string;
  /** Texts that must never be written, such as keys; each is replaced by `[secret]`. */
  readonly secrets?: readonly string[];
  /** Also writes the lines to stderr, as a service under systemd wants it. */
  readonly alsoStderr?: boolean;
}

/** What the file of a full disk has no room for is kept up to here, and written when there is room. */
const mostUnwrittenBytes = 4 * 2 ** 20;

/** Tower's log: JSON lines with ISO time, level name, role and process id. No call of it fails because its file cannot be written. */
export function createLog(options: LogOptions): Log {
  mkdirSync(dirname(options.file), { recursive: true });
  const file = pino.destination({ dest: options.file, append: true, sync: true, maxLength: mostUnwrittenBytes });
  const toFile = redacting(file, options.secrets ?? []);
  const toStderr = redacting(process.stderr, options.secrets ?? []);
  tellOfTroubles(file, logTo([toStderr], options));
  // Without a listener, a stderr that cannot be written ends the process.
  if (!process.stderr.listeners('error').includes(ignore)) process.stderr.on('error', ignore);
  return logTo(options.alsoStderr ? [toFile, toStderr] : [toFile], options);
}

function logTo(streams: readonly pino.DestinationStream[], { level, role }: LogOptions): Log {
  return pino(
    {
      ...{ level, base: { role, pid: process.pid } },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.multistream(streams.map((stream) => ({ level, stream }))),
  );
}

type LogFile = ReturnType<typeof pino.destination>;

/** Once for each time that the file cannot be written; an error that nobody listens to is thrown out of the call that logs. */
function tellOfTroubles(file: LogFile, stderr: Log): void {
  let isFailing = false;
  let lost = 0;
  file.on('error', (error: unknown) => {
    if (!isFailing) stderr.error({ error: describeError(error) }, 'the log file cannot be written');
    isFailing = true;
  });
  file.on('drop', () => (lost += 1));
  file.on('write', () => {
    if (!isFailing) return;
    stderr.warn({ lost }, 'the log file is written again');
    [isFailing, lost] = [false, 0];
  });
}

function ignore(): void {
  // Nobody is left to tell.
}

function redacting(target: { write(line: string): unknown }, secrets: readonly string[]): pino.DestinationStream {
  const inJson = secrets.filter((secret) => secret !== '').map((secret) => JSON.stringify(secret).slice(1, -1));
  return {
    write: (line) => void target.write(inJson.reduce((text, secret) => text.replaceAll(secret, '[secret]'), line)),
  };
}
