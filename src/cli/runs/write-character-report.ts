import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { slugOf } from '../../character/names.js';
import { TowerError } from '../../errors.js';
import { writeFileDurable, writeJsonDurable } from '../../files/durable-write.js';
import { packageRoot } from '../../files/package-root.js';
import { buildCharacterReport } from '../../report/character-report.js';
import { renderCharacterReport } from '../../report/character-page.js';
import { readPictures } from '../../report/character-pictures.js';
import { listRuns } from '../../training/list-runs.js';
import { runDirectory } from '../../training/run-directory.js';
import { readRunOwner } from '../../training/run-owner.js';
import { characterWorkflowId } from '../../workflows/names.js';
import type { CommandContext } from '../command-context.js';

const runPattern = /^character_.+_v\d+$/;

/**
 * Writes the page of a character run of this machine, and its facts as JSON beside it. Needs no server.
 *
 * @param name - Workflow id, run id, or what people call a run: `elara/2`, `elara` for the newest one of this machine.
 * @throws TowerError `NOT_FOUND`
 */
export async function writeCharacterReport(
  context: CommandContext,
  name: string,
  output: string | undefined,
): Promise<void> {
  const { home, paths } = context;
  const run = await characterRunOf(paths.runs, name);
  const report = await buildCharacterReport(join(paths.runs, run));
  const { version } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const file = output === undefined ? join(home, 'reports', `${run}.html`) : resolve(output);
  const jsonFile = `${file.replace(/\.html?$/, '')}.json`;
  const page = renderCharacterReport(report, await readPictures(report), { towerVersion: version });
  await writeFileDurable(file, page);
  await writeJsonDurable(jsonFile, report);
  context.output.result({ file, jsonFile, report }, file);
}

/** The run that a workflow has worked on; a run that went on belongs to the workflow that came last. @throws TowerError `NOT_FOUND` */
export async function characterRunOf(runsDirectory: string, name: string): Promise<string> {
  const runs = (await listRuns(runsDirectory)).filter((run) => runPattern.test(run));
  if (runs.includes(name)) return name;
  const [, short = '', version] = /^(?:character-lora\/)?(.+?)(?:\/(\d+))?$/.exec(name) ?? [];
  if (version === undefined) {
    const newest = newestOf(slugOf(short), runs);
    if (newest !== undefined) return newest;
  }
  const workflowId = characterWorkflowId(slugOf(short), Number(version));
  for (const run of runs.toReversed()) {
    const owner = await readRunOwner(runDirectory(join(runsDirectory, run)));
    if (owner?.workflowId === workflowId) return run;
  }
  throw new TowerError('NOT_FOUND', `this machine has no character run ${name}`, {
    next: runs.length === 0 ? 'It has no character run at all.' : `It has ${runs.slice(-8).join(', ')}.`,
  });
}

function newestOf(slug: string, runs: readonly string[]): string | undefined {
  const numbers = runs.flatMap((run) => {
    const [, of, number] = /^character_(.+)_v(\d+)$/.exec(run) ?? [];
    return of === slug ? [Number(number)] : [];
  });
  return numbers.length === 0 ? undefined : `character_${slug}_v${Math.max(...numbers)}`;
}
