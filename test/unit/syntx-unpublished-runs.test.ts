import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { MadePrompt } from '../../src/syntx/generation/prompt-result.js';
import { ProductionRun } from '../../src/syntx/production/production-run.js';
import { unpublishedRuns } from '../../src/syntx/production/unpublished-runs.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tower-runs-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A run that was interrupted when it had paid for a prompt. */
async function interrupted(name: string): Promise<ProductionRun> {
  const run = new ProductionRun(root, name);
  await run.writePlan({
    ...{ version: 1, run: name, logicalTime: '2026-01-05T04:00:00.000Z', generation: 1, policy: 'uniform', seed: 's' },
    ...{ feedbackStrength: 0.8, model: 'm', prompts: [], learnedFrom: null, toArchive: [] },
  });
  await run.keep({ index: 0, text: 'a prompt', paid: 0.1, simulated: false } as MadePrompt, {});
  return run;
}

it('a damaged folder of an interrupted run is set aside with what it has; all others are published', async () => {
  const names = ['produce-1', 'produce-2', 'produce-3', 'produce-4', 'produce-5'];
  for (const name of names) await interrupted(name);
  const [, withoutPlan = '', badPlan = '', badPrompt = '', badMark = ''] = names.map((name) => join(root, name));
  await rm(join(withoutPlan, 'plan.json'));
  await writeFile(join(badPlan, 'plan.json'), '{');
  await writeFile(join(badPrompt, 'prompts', '0000.json'), '');
  await writeFile(join(badMark, 'published.json'), '{"generation": "one"}');

  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  for (let look = 1; look <= 2; look += 1) {
    expect((await unpublishedRuns(root, { log })).map(({ name }) => name)).toEqual(['produce-1']);
  }
  const aside = names.slice(1).map((name) => `.broken-${name}`);
  expect((await readdir(root)).sort()).toEqual([...aside, 'produce-1']);
  expect(await readFile(join(root, '.broken-produce-2', 'prompts', '0000.json'), 'utf8')).toContain('a prompt');
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject(
    aside.map((name) => ({ level: 50, folder: join(root, name), reason: expect.any(String) as string })),
  );

  // The same run, begun anew and damaged again.
  await interrupted('produce-2');
  await rm(join(withoutPlan, 'plan.json'));
  await unpublishedRuns(root, { log });
  expect(await readdir(root)).toContain('.broken-produce-2-2');
});
