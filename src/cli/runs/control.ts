import type { Command } from 'commander';

import { contextOf } from '../command-context.js';
import { parseDuration } from '../durations.js';

interface CancelOptions {
  readonly wait: boolean;
  readonly timeout: number;
}

/** `tower cancel|pause|resume`. */
export function addControlCommands(program: Command): void {
  program
    .command('cancel')
    .description('end a run in order: its trainer is stopped, what it has saved stays')
    .argument('<workflow id>', 'for example daily-cycle')
    .option('--no-wait', 'ask for it and return at once')
    .option('--timeout <duration>', 'how long to wait for its end, such as 90s', parseDuration, 120_000)
    .action(async (workflowId: string, options: CancelOptions, command: Command) => {
      const { cancelWorkflow } = await import('./control-workflows.js');
      await cancelWorkflow(workflowId, { wait: options.wait, timeoutMs: options.timeout }, await contextOf(command));
    });
  program
    .command('pause')
    .description('free the GPU: the trainer saves a complete state and ends; `tower resume` goes on from it')
    .argument('<workflow id>', 'for example daily-cycle')
    .action(async (workflowId: string, _options: unknown, command: Command) => {
      const { pauseWorkflow } = await import('./control-workflows.js');
      await pauseWorkflow(workflowId, await contextOf(command));
    });
  program
    .command('resume')
    .description('let a paused run go on from its saved state')
    .argument('<workflow id>', 'for example daily-cycle')
    .action(async (workflowId: string, _options: unknown, command: Command) => {
      const { resumeWorkflow } = await import('./control-workflows.js');
      await resumeWorkflow(workflowId, await contextOf(command));
    });
}
