import { resolve } from 'node:path';

import { localDay } from '../../report/evolution-report.js';
import { evolutionReportFile, writeEvolutionReport } from '../../report/write-evolution-report.js';
import type { CommandContext } from '../command-context.js';
import { withQueueFiles } from '../queue/queue-files.js';

/** `tower report evolution`. @param day local, `YYYY-MM-DD`; default: today. */
export async function reportEvolution(
  context: CommandContext,
  { day, output }: { readonly day: string | undefined; readonly output: string | undefined },
): Promise<void> {
  const { syntx } = context.config;
  const wanted = day ?? localDay(Date.now(), syntx.timezone);
  const file = output === undefined ? evolutionReportFile(context.home, wanted) : resolve(output);
  const written = await withQueueFiles(context, (files) =>
    writeEvolutionReport({ files, syntx }, { day: wanted, file }),
  );
  context.output.result(written, written.file);
}
