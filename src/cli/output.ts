import { styleText } from 'node:util';

import { describeError, TowerError } from '../errors.js';

/** stdout is data, stderr is talk. */
export interface Output {
  readonly json: boolean;
  /** A person sits at stderr: bars and colours make sense. */
  readonly interactive: boolean;
  /** The command's result: as JSON with `--json`, else the text. */
  result(value: unknown, text: string): void;
  /** One line of NDJSON with `--json`, else the text; for streams of results. */
  line(value: unknown, text: string): void;
  /** Talk: progress, hints, explanations. */
  say(text: string): void;
  error(error: unknown): void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    interactive: process.stderr.isTTY && !json,
    result: (value, text) => process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : endLine(text)),
    line: (value, text) => process.stdout.write(json ? `${JSON.stringify(value)}\n` : endLine(text)),
    say: (text) => process.stderr.write(endLine(text)),
    error: (error) => writeError(error, json),
  };
}

function writeError(error: unknown, json: boolean): void {
  const code = error instanceof TowerError ? error.code : 'UNEXPECTED';
  const next = error instanceof TowerError ? error.next : undefined;
  const message = describeError(error);
  if (json) {
    const retryable = error instanceof TowerError && error.retryable;
    process.stdout.write(`${JSON.stringify({ error: { code, message, next: next ?? null, retryable } })}\n`);
    return;
  }
  process.stderr.write(`${styleText('red', 'error', { stream: process.stderr })} ${message} [${code}]\n`);
  if (next !== undefined) process.stderr.write(`${styleText('cyan', 'next', { stream: process.stderr })}  ${next}\n`);
  if (code === 'UNEXPECTED' && error instanceof Error && error.stack !== undefined && process.env['TOWER_DEBUG']) {
    process.stderr.write(`${error.stack}\n`);
  }
}

function endLine(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
