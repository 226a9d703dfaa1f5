import type { Command } from 'commander';

import { contextOf } from '../command-context.js';
import type { SetExitCode } from '../exit-codes.js';

/** `tower status`. */
export function addStatusCommand(program: Command, setExitCode: SetExitCode): void {
  program
    .command('status')
    .description('what runs, what waits and why; exit code 6 when something has to be done by a person')
    .action(async (_options: unknown, command: Command) => {
      const { showStatus } = await import('./show-status.js');
      setExitCode(await showStatus(await contextOf(command)));
    });
}
