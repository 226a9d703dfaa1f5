import { InvalidArgumentError, Option, type Command } from 'commander';

import { contextOf } from '../command-context.js';

/** `tower evolution`: what the prompt evolution has learned. Needs no server. */
export function addEvolutionCommand(program: Command): void {
  const evolution = program.command('evolution').description('what the prompt evolution has learned, and from what');
  evolution
    .command('status')
    .description('per style and category: scores, mean, share of good ones, what is expected')
    .option('--wrapper <name>', 'one wrapper alone; default: syntx.learning.wrapper, else all by their share')
    .action(async ({ wrapper }: { wrapper?: string }, command: Command) => {
      const { showEvolution } = await import('./evolution-views.js');
      await showEvolution(wrapper, await contextOf(command));
    });
  evolution
    .command('history')
    .description('runs of the producer: what each learned, and why each of its prompts was drawn')
    .option('-n <number>', 'how many of the newest', parseLimit, 10)
    .option('--run <name>', 'one run, with every prompt and its reason')
    .addOption(
      new Option('--wrapper <name>', 'what the prompts of each run have scored with this wrapper').conflicts('run'),
    )
    .action(async (options: { n: number; run?: string; wrapper?: string }, command: Command) => {
      const { showHistory } = await import('./history-views.js');
      await showHistory(options, await contextOf(command));
    });
  evolution
    .command('heatmap')
    .description('expected score of each style and category as a map, and every figure below it')
    .option('--wrapper <name>', 'one wrapper alone; default: syntx.learning.wrapper, else all by their share')
    .action(async ({ wrapper }: { wrapper?: string }, command: Command) => {
      const { showHeatmap } = await import('./evolution-views.js');
      await showHeatmap(wrapper, await contextOf(command));
    });
}

function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.');
  return Number(text);
}
