import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

import pino from 'pino';

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

/** Tower's log: JSON lines with ISO time, level name, role and process id. */
export function createLog(options: LogOptions): Log {
  mkdirSync(dirname(options.file), { recursive: true });
  const file = pino.destination({ dest: options.file, append: true, sync: true });
  const streams: pino.StreamEntry[] = [{ level: options.level, stream: redacting(file, options.secrets ?? []) }];
  if (options.alsoStderr) {
    streams.push({ level: options.level, stream: redacting(process.stderr, options.secrets ?? []) });
  }
  return pino(
    {
      level: options.level,
      base: { role: options.role, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.multistream(streams),
  );
}

function redacting(target: { write(line: string): unknown }, secrets: readonly string[]): pino.DestinationStream {
  const inJson = secrets.filter((secret) => secret !== '').map((secret) => JSON.stringify(secret).slice(1, -1));
  return {
    write: (line) => void target.write(inJson.reduce((text, secret) => text.replaceAll(secret, '[secret]'), line)),
  };
}
