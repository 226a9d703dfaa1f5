import { Argument, InvalidArgumentError, type Command } from 'commander';

import { contextOf } from '../command-context.js';
import type { SetExitCode } from '../exit-codes.js';

const places = ['incoming', 'processing', 'processed', 'error', 'archive', 'broken'] as const;

/** `tower queue`: looks at the SYNTX queue directory and moves jobs in it. Needs no server. */
export function addQueueCommand(program: Command, setExitCode: SetExitCode): void {
  const queue = program.command('queue').description('the SYNTX queue: what waits, what became of it, try again');
  queue
    .command('status')
    .description('how full it is, and what is not well (exit code 6)')
    .action(async (_options: object, command: Command) => {
      const { showQueueStatus } = await import('./queue-views.js');
      setExitCode(await showQueueStatus(await contextOf(command)));
    });
  queue
    .command('list')
    .description('jobs of one stage: oldest first in incoming and processing, newest first elsewhere')
    .addArgument(new Argument('[stage]', 'which stage').choices(places).default('incoming'))
    .option('-n <number>', 'how many at most', parseLimit, 20)
    .action(async (place: (typeof places)[number], { n }: { n: number }, command: Command) => {
      const { listQueue } = await import('./queue-views.js');
      await listQueue({ place, limit: n }, await contextOf(command));
    });
  queue
    .command('show')
    .description('everything about one job: prompt, score, answer, faults')
    .argument('<job>', 'base name, file name, or a part of one')
    .action(async (job: string, _options: object, command: Command) => {
      const { showJob } = await import('./queue-views.js');
      await showJob(job, await contextOf(command));
    });
  queue
    .command('retry')
    .description('put failed jobs back into incoming; those with a low score only with --scored')
    .argument('[text]', 'only jobs whose names contain this; default: all')
    .option('--scored', 'also jobs that are in error for their score')
    .action(async (containing: string | undefined, { scored }: { scored?: boolean }, command: Command) => {
      const { retryJobs } = await import('./queue-moves.js');
      setExitCode(await retryJobs({ containing, scored }, await contextOf(command)));
    });
  queue
    .command('requeue')
    .description('put named jobs back into incoming, whatever became of them')
    .argument('<jobs...>', 'base names or file names')
    .action(async (jobs: string[], _options: object, command: Command) => {
      const { requeueJobs } = await import('./queue-moves.js');
      setExitCode(await requeueJobs(jobs, await contextOf(command)));
    });
  queue
    .command('import')
    .description('copy jobs of another queue directory, or a folder of prompts; nothing there is changed')
    .argument('<folder>', 'queue directory, or folder with prompts in .txt files')
    .option('--category <name>', 'of bare prompts')
    .option('--style <name>', 'of bare prompts')
    .action(async (folder: string, options: { category?: string; style?: string }, command: Command) => {
      const { importIntoQueue } = await import('./queue-moves.js');
      setExitCode(await importIntoQueue(folder, options, await contextOf(command)));
    });
}

function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.');
  return Number(text);
}
