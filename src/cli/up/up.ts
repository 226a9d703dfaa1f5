import type { Command } from 'commander';

import { contextOf } from '../command-context.js';
import type { SetExitCode } from '../exit-codes.js';

/** `tower up`: server, schedules and workers on one machine. */
export function addUpCommand(program: Command, setExitCode: SetExitCode): void {
  program
    .command('up')
    .description('run Tower on this machine: Temporal server, schedules, workers; Ctrl-C ends in order')
    .action(async (_options: unknown, command: Command) => {
      const { runUp } = await import('./run-up.js');
      setExitCode(await runUp(await contextOf(command), command));
    });
}
