import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { writeFileDurable, writeJsonDurable } from '../../files/durable-write.js';
import { packageRoot } from '../../files/package-root.js';
import { renderEvolutionReport } from '../../report/evolution-page.js';
import { buildEvolutionReport, localDay } from '../../report/evolution-report.js';
import type { CommandContext } from '../command-context.js';
import { withQueueFiles } from '../queue/queue-files.js';

/** @param day local, `YYYY-MM-DD`; default: today. */
export async function writeEvolutionReport(
  context: CommandContext,
  { day, output }: { readonly day: string | undefined; readonly output: string | undefined },
): Promise<void> {
  const { syntx } = context.config;
  const wanted = day ?? localDay(Date.now(), syntx.timezone);
  const report = await withQueueFiles(context, (files) => buildEvolutionReport({ files, syntx }, wanted));
  const { version } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const file = output === undefined ? join(context.home, 'reports', `evolution-${wanted}.html`) : resolve(output);
  const jsonFile = `${file.replace(/\.html?$/, '')}.json`;
  await writeFileDurable(file, renderEvolutionReport(report, { towerVersion: version }));
  await writeJsonDurable(jsonFile, report);
  context.output.result({ file, jsonFile, report }, file);
}
