import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import type { TrainedAdapter } from '../../src/evaluation/champion-comparison.js';
import { evaluationFiles } from '../../src/evaluation/evaluation-plan.js';
import { planEvaluation, type PlannedEvaluation } from '../../src/evaluation/plan-evaluation.js';
import { trainedAdapter, type Trained } from '../support/trained-adapter.js';

let runs: string;
beforeEach(async () => {
  runs = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterEach(() => rm(runs, { recursive: true, force: true }));

const trained = (version: string, as: Trained) => trainedAdapter({ runs, version }, as);

const plan = (candidate: TrainedAdapter, champion?: TrainedAdapter): Promise<PlannedEvaluation> =>
  planEvaluation({ runsDirectory: runs, candidate, champion });

const heldOutOf = async ({ run }: PlannedEvaluation) =>
  (await readFile(evaluationFiles(join(runs, run)).heldOut, 'utf8')).trim().split('\n');

it('compares candidate and champion on the held-out samples that the champion was not trained with', async () => {
  const champion = await trained('v1', { train: ['a', 'moved', 'line\u2028separator'], heldOut: ['x'] });
  const heldOut = ['x', 'moved', 'new', 'line\u2028separator'];
  const planned = await plan(await trained('v2', { train: ['a', 'b'], heldOut }), champion);
  expect(planned).toMatchObject({
    run: 'v2-evaluation-v1',
    plan: {
      simulated: true,
      champion: { comparison: 'losses', version: 'v1', adapter: join(runs, 'v1', 'output', 'adapter') },
      model: { baseModel: 'org/model', maxLength: 64, loadIn4bit: true },
      heldOut: { samples: 2, seenByChampion: 2 },
    },
  });
  expect(await heldOutOf(planned)).toEqual(['{"completion":"x"}', '{"completion":"new"}']);
});

it('stays as it is once it is planned', async () => {
  const candidate = await trained('v1', { train: ['a'], heldOut: ['x'] });
  const first = await plan(candidate);
  expect(first).toMatchObject({ run: 'v1-evaluation', plan: { champion: null, heldOut: { samples: 1 } } });
  await writeFile(join(candidate.runDirectory, 'dataset', 'heldout.jsonl'), '');
  expect(await plan(candidate)).toEqual(first);
});

it('a champion of another base model does not count, nor a simulated one for a trained candidate', async () => {
  const sample = { train: ['a'], heldOut: ['x'] };
  const other = await trained('other', { ...sample, baseModel: 'org/other' });
  const simulated = await trained('simulated', sample);
  const real = await trained('real', { ...sample, simulated: false });
  const comparison = async (candidate: TrainedAdapter, champion: TrainedAdapter) =>
    (await plan(candidate, champion)).plan.champion;
  expect(await comparison(simulated, other)).toMatchObject({ comparison: 'base-only', version: 'other' });
  expect(await comparison(real, simulated)).toMatchObject({ comparison: 'base-only', version: 'simulated' });
  expect(await comparison(simulated, real)).toMatchObject({ comparison: 'refused', version: 'real' });
});

it('a champion whose files are gone or damaged is not available', async () => {
  const candidate = await trained('v2', { train: ['a'], heldOut: ['x'] });
  const champion = await trained('v1', { train: ['a'], heldOut: ['x'] });
  await rm(join(champion.runDirectory, 'output', 'adapter', 'adapter_model.safetensors'));
  const { champion: compared } = (await plan(candidate, champion)).plan;
  expect(compared).toMatchObject({ comparison: 'unavailable', version: 'v1' });
});
