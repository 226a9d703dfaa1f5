import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { writeFileDurable, writeJsonDurable } from '../../files/durable-write.js';
import { packageRoot } from '../../files/package-root.js';
import { buildCycleReport } from '../../report/cycle-report.js';
import { renderCycleReport } from '../../report/cycle-page.js';
import type { CommandContext } from '../command-context.js';
import { readLedger } from '../data/read-ledger.js';

/** @throws TowerError `NOT_FOUND` */
export async function writeReport(context: CommandContext, name: string, output: string | undefined): Promise<void> {
  const { home, paths } = context;
  const report = await readLedger(context, (ledger) =>
    buildCycleReport({ ledger, runsDirectory: paths.runs, packagesDirectory: paths.packages }, name),
  );
  const { version } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const fileName = `cycle-${(report.run?.version ?? report.logicalTime).replaceAll(/[:.]/g, '-')}.html`;
  const file = output === undefined ? join(home, 'reports', fileName) : resolve(output);
  const jsonFile = `${file.replace(/\.html?$/, '')}.json`;
  await writeFileDurable(file, renderCycleReport(report, { towerVersion: version }));
  await writeJsonDurable(jsonFile, report);
  context.output.result({ file, jsonFile, report }, file);
}
