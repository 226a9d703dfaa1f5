import type { Command } from 'commander';

import { contextOf } from '../command-context.js';
import { exitCodes, type SetExitCode } from '../exit-codes.js';

/** `tower watch`. */
export function addWatchCommand(program: Command, setExitCode: SetExitCode): void {
  program
    .command('watch')
    .description('show a run live until it ends: stage, step, loss, rate, time left')
    .argument('<workflow id>', 'for example daily-cycle or deliver-adapter/<version>; `tower status` lists them')
    .argument('[run id]', 'a certain execution of it; default: the newest')
    .addHelpText('after', '\nWith --json: one JSON line for every change, and a last one with "event": "outcome".')
    .action(async (workflowId: string, runId: string | undefined, _options: unknown, command: Command) => {
      const [{ withClient }, { watchToOutcome }] = await Promise.all([
        import('../temporal-client.js'),
        import('./wait-for-runs.js'),
      ]);
      const context = await contextOf(command);
      const { outcomeText } = await import('./workflow-outcome.js');
      const outcome = await withClient(context, (session) =>
        watchToOutcome(session, { workflowId, runId }, context.output),
      );
      context.output.line({ event: 'outcome', ...outcome }, outcomeText(outcome));
      if (outcome.status !== 'completed') setExitCode(exitCodes.failed);
    });
}
