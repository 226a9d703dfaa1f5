import { styleText } from 'node:util';

import { TowerError } from '../../errors.js';
import { followLines, readLastLines } from './follow-file.js';
import { interruptible } from '../interruption.js';
import { logLevels, parseLogLine, passes, type LogFilter, type LogLevel } from './log-line.js';
import type { Output } from '../output.js';

interface ShowLogsOptions {
  readonly file: string;
  readonly follow: boolean;
  readonly lines: number;
  readonly run?: string;
  readonly level?: string;
}

/**
 * Prints the last lines of the log, and new ones with `follow`. Ctrl-C is the ordinary end of following, so it is no
 * cancellation: nothing was waited for, and the exit code is 0.
 *
 * @throws TowerError `USAGE` for a level that does not exist; `NOT_FOUND` when there is no log yet.
 */
export async function showLogs(options: ShowLogsOptions, output: Output): Promise<void> {
  const filter: LogFilter = { run: options.run, level: levelOf(options.level) };
  const print = await createPrinter(filter, output);
  const last = await readLastLines(options.file, options.lines, (text) => wanted(text, filter));
  if (last === undefined && !options.follow) {
    throw new TowerError('NOT_FOUND', `there is no log yet: ${options.file}`, {
      next: 'It is written by `tower up` and the workers; --home names another state directory.',
    });
  }
  if (last === undefined) output.say(`waiting for ${options.file}`);
  last?.lines.forEach(print);
  if (!options.follow) return;
  await interruptible((signal) => followLines(options.file, last?.position, { signal, onLine: print }));
}

function levelOf(level: string | undefined): LogLevel | undefined {
  const known = logLevels.find((candidate) => candidate === level);
  if (level === undefined || known !== undefined) return known;
  throw new TowerError('USAGE', `--level: expected one of ${logLevels.join(', ')}, found ${level}`);
}

function wanted(text: string, filter: LogFilter): boolean {
  const line = parseLogLine(text);
  // What is no log line, such as a stack trace of a crashed process, is shown unless something particular is looked for.
  return line === undefined ? filter.run === undefined && filter.level === undefined : passes(line, filter);
}

async function createPrinter(filter: LogFilter, output: Output): Promise<(text: string) => void> {
  if (output.json) {
    return (text) => {
      if (parseLogLine(text) !== undefined && wanted(text, filter)) process.stdout.write(`${text}\n`);
    };
  }
  const pretty = await prettyPrinter();
  return (text) => {
    if (wanted(text, filter)) process.stdout.write(pretty(text));
  };
}

/** For a person: local time, level, role and message, the other fields behind it in one line. */
async function prettyPrinter(): Promise<(text: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  const colorize = styleText('red', '', { stream: process.stdout }) !== '';
  const pretty = prettyFactory({
    colorize,
    singleLine: true,
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss',
    ignore: 'pid,role,hostname',
    messageFormat: '{if role}{role}: {end}{msg}',
  });
  return (text) => (parseLogLine(text) === undefined ? `${text}\n` : (pretty(text) ?? `${text}\n`));
}
