import type { Command } from 'commander';

import { contextOf } from '../command-context.js';

/** `tower report`. */
export function addReportCommand(program: Command): void {
  program
    .command('report')
    .description('write what happened in a daily cycle as one HTML file, with its facts as JSON beside it')
    .argument('[cycle]', 'logical time, version, or workflow id; default: the newest', 'daily-cycle')
    .option('-o, --output <file>', 'where to write; default: reports/ in the state directory')
    .action(async (name: string, options: { output?: string }, command: Command) => {
      const { writeReport } = await import('./write-report.js');
      await writeReport(await contextOf(command), name, options.output);
    });
}
