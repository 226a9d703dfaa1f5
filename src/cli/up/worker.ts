import { InvalidArgumentError, type Command } from 'commander';

import { contextOf } from '../command-context.js';
import type { RoleName, WorkerOptions } from './worker-options.js';

/** `tower worker`: the workers of one process, against the embedded server or any Temporal address. */
export function addWorkerCommand(program: Command): void {
  program
    .command('worker')
    .description('run workers: control (workflows, files, ledger) or one GPU; default: both in one process')
    .option('--role <role>', 'control, gpu or all', parseRole, 'all')
    .option('--gpu <index>', 'GPU index of a gpu worker; default: the first configured', parseIndex)
    .option('--embedded', 'serve the embedded server of the state directory, whatever TEMPORAL_ADDRESS says')
    .action(async (options: WorkerOptions, command: Command) => {
      const { runWorkerProcess } = await import('./run-worker.js');
      await runWorkerProcess(await contextOf(command), options);
    });
}

function parseRole(value: string): RoleName {
  if (value === 'control' || value === 'gpu' || value === 'all') return value;
  throw new InvalidArgumentError('expected control, gpu or all');
}

function parseIndex(value: string): number {
  const index = Number(value);
  if (!Number.isInteger(index) || index < 0) throw new InvalidArgumentError('expected a whole number from 0');
  return index;
}
