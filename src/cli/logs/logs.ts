import { InvalidArgumentError, type Command } from 'commander';

import { contextOf } from '../command-context.js';

interface LogsOptions {
  readonly follow?: boolean;
  readonly run?: string;
  readonly level?: string;
  readonly lines: number;
}

/** `tower logs`. */
export function addLogsCommand(program: Command): void {
  program
    .command('logs')
    .description('show the log; as JSON lines with --json')
    .option('-f, --follow', 'go on with new lines until Ctrl-C')
    .option('--run <id>', 'only lines of one run: a run id, workflow id, version or workflow run id')
    .option('--level <level>', 'only lines of this level or above: debug, info, warn, error')
    .option('-n, --lines <count>', 'how many of the last lines (0: none, only new ones)', wholeNumber, 50)
    .action(async (options: LogsOptions, command: Command) => {
      const { showLogs } = await import('./show-logs.js');
      const context = await contextOf(command);
      await showLogs({ ...options, follow: options.follow ?? false, file: context.paths.logFile }, context.output);
    });
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 0 or more.');
  return Number(text);
}
