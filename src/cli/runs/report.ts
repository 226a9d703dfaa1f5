import type { Command } from 'commander';

import { TowerError } from '../../errors.js';
import { contextOf } from '../command-context.js';

/** `tower report`. */
export function addReportCommand(program: Command): void {
  program
    .command('report')
    .description(
      'write what happened in a daily cycle, a character run, or a day of the prompt evolution, as one HTML file with its facts as JSON',
    )
    .argument(
      '[cycle]',
      'logical time, version, workflow or run id; default: the newest cycle; or evolution',
      'daily-cycle',
    )
    .argument('[day]', 'with evolution: which day, such as 2026-01-05; default: today')
    .option('-o, --output <file>', 'where to write; default: reports/ in the state directory')
    .action(async (name: string, day: string | undefined, options: { output?: string }, command: Command) => {
      if (name === 'evolution') {
        const { reportEvolution } = await import('../evolution/report-evolution.js');
        return reportEvolution(await contextOf(command), { day, output: options.output });
      }
      if (day !== undefined) throw new TowerError('USAGE', `a day goes with evolution, not with ${name}`);
      if (/^character[-_]/.test(name)) {
        const { writeCharacterReport } = await import('./write-character-report.js');
        return writeCharacterReport(await contextOf(command), name, options.output);
      }
      const { writeReport } = await import('./write-report.js');
      await writeReport(await contextOf(command), name, options.output);
    });
}
