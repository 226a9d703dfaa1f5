import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa, type Result } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { createSimulatedEvaluationDriver } from '../../src/evaluation/driver.js';
import { evaluationFiles } from '../../src/evaluation/evaluation-plan.js';
import { planEvaluation } from '../../src/evaluation/plan-evaluation.js';
import type { TrainerDriver } from '../../src/training/trainer-driver.js';
import { trainedAdapter } from '../support/trained-adapter.js';

let runs: string;
let driver: TrainerDriver;
/** Path of the result file. */
let result: string;

beforeEach(async () => {
  runs = await mkdtemp(join(tmpdir(), 'tower-'));
  const champion = await trainedAdapter({ runs, version: 'v1' }, { train: ['a'], heldOut: ['x'] });
  const learnt = { train: ['a', 'b', 'c'], heldOut: ['x', 'y', 'z'] };
  const candidate = await trainedAdapter({ runs, version: 'v2' }, learnt);
  const { run, plan } = await planEvaluation({ runsDirectory: runs, candidate, champion });
  const directory = join(runs, run);
  driver = createSimulatedEvaluationDriver({ directory, plan, secondsPerSample: 0 });
  result = evaluationFiles(directory).result;
  await driver.prepare();
});
afterEach(() => rm(runs, { recursive: true, force: true }));

async function evaluate(wishes = {}): Promise<Result> {
  const { argv, workingDirectory } = driver.command({ resumeFrom: undefined, memoryRung: 0 });
  const [file, ...args] = argv;
  const env = { TOWER_SIMULATED_EVALUATION: JSON.stringify(wishes) };
  return execa(file, args, { cwd: workingDirectory, env, reject: false });
}

async function meanLosses(): Promise<Record<string, number | null>> {
  const { adapters } = JSON.parse(await readFile(result, 'utf8')) as { adapters: { name: string; meanLoss: number }[] };
  return Object.fromEntries(adapters.map(({ name, meanLoss }) => [name, meanLoss]));
}

it('leaves a result that is valid for its plan, and the same bytes when it runs again', async () => {
  expect(await driver.checkArtefact()).toMatchObject({ valid: false });
  const { exitCode, stdout } = await evaluate();
  const check = await driver.checkArtefact();
  expect({ exitCode, check }).toMatchObject({ exitCode: 0, check: { valid: true, path: result } });
  // One step is one sample under one model: 3 samples, 3 models.
  const parse = driver.createParser();
  const events = String(stdout)
    .split('\n')
    .flatMap((line) => parse(line, 'stdout'));
  expect(events[0]).toMatchObject({ event: 'start', totalSteps: 9, resumedFromStep: 0, simulated: true });
  expect(events.findLast((event) => event.event === 'step')).toMatchObject({ step: 9 });
  await rm(result);
  await evaluate();
  expect(await driver.checkArtefact()).toEqual(check);
});

it('finds the adapter with more training samples better, unless somebody wishes otherwise', async () => {
  await evaluate();
  const { base, candidate, champion } = await meanLosses();
  expect(candidate).toBeLessThan(champion ?? 0);
  expect(champion).toBeLessThan(base ?? 0);
  await evaluate({ worse: ['v2'] });
  expect((await meanLosses())['candidate']).toBeGreaterThan(champion ?? 0);
  await evaluate({ better: ['v1'] });
  expect((await meanLosses())['champion']).toBeLessThan(champion ?? 0);
  await evaluate({ notANumber: ['v1'] });
  expect(await meanLosses()).toMatchObject({ base, candidate, champion: null });
});

it('refuses an adapter that was really trained', async () => {
  await rm(join(runs, 'v1', 'output', 'adapter', 'simulated.json'));
  const { exitCode, stdout } = await evaluate();
  expect(driver.classify({ code: exitCode }, [], '')).toBe('bad-config');
  expect(stdout).toContain('was not made by the simulated trainer');
  expect(await driver.checkArtefact()).toMatchObject({ valid: false });
});

it.each([
  ['of other samples', (text: string) => text.replace(/"heldOutSha256": "\w/, '"heldOutSha256": "_')],
  ['of another adapter', (text: string) => text.replace('v2/output', 'v3/output')],
  ['that is not simulated', (text: string) => text.replace('"simulated": true', '"simulated": false')],
  ['that is cut', (text: string) => text.slice(0, -20)],
])('a result %s is no result of this evaluation', async (_, damage) => {
  await evaluate();
  await writeFile(result, damage(await readFile(result, 'utf8')));
  expect(await driver.checkArtefact()).toMatchObject({ valid: false });
});
