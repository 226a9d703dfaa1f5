import { Option, type Command } from 'commander';

import { outputOf } from '../command-context.js';

/** As `src/syntx/scores/quality-score.ts` names them; that is loaded when it is needed. */
const formats = ['auto', 'sigma', 'syntex_system', 'human'] as const;

/** `tower score`. */
export function addScoreCommand(program: Command): void {
  program
    .command('score')
    .description('score one answer from stdin exactly as SYNTX does (V1), and print the score object')
    .addOption(
      new Option('--format <name>', 'read it as this format; auto lets its words choose')
        .choices(formats)
        .default('auto'),
    )
    .action(async ({ format }: { format: (typeof formats)[number] }, command: Command) => {
      const { scoreFromStdin } = await import('./score-answer.js');
      await scoreFromStdin(format, outputOf(command));
    });
}
