import { existsSync } from 'node:fs';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { dropBatch } from '../../src/signz-mind/ledger/batch-edits.js';
import { applyRetention } from '../../src/signz-mind/retention.js';
import { options, SignzWorld, snippet } from '../support/signz-mind.js';

const day = 86_400_000;
const limits = { rawBatchDays: 90, packageDays: 30, rejectedAdapterDays: 30, checkpointDays: 7, failedRunDays: 30 };
let world: SignzWorld;

beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const at = (...parts: string[]) => join(world.directory, ...parts);

/** As if so many days had passed. @returns what is gone, relative to the state directory. */
async function after(days: number): Promise<string[]> {
  const removed = await applyRetention(
    {
      ledger: world.ledger,
      batchDirectory: world.batchDirectory,
      runsDirectory: at('runs'),
      packagesDirectory: at('packages'),
      limits,
      now: new Date(Date.now() + days * day),
    },
    options,
  );
  return removed.map(({ path }) => path.slice(world.directory.length + 1)).sort();
}

async function plan(version: string): Promise<void> {
  const planned = { run: version, version, cycle: `cycle of ${version}`, fingerprint: version };
  const figures = { trainingSetSha256: 'x', trainSamples: 1, heldOutSamples: 1, simulated: false };
  await world.ledger.runs.plan({ ...planned, ...figures }, new Map());
  for (const folder of ['output/adapter', 'output/checkpoint-4', 'dataset', 'launches']) {
    await mkdir(at('runs', version, folder), { recursive: true });
  }
}

it('W11: keeps whatever is not settled, and removes it when it is', async () => {
  const good = await world.upload(snippet());
  const poison = await world.upload('no JSON at all');
  const partly = await world.upload(`${snippet({ uuid: 'another' })}\nnot a row`);
  for (const cycle of ['1', '2', '3']) await world.ingest(`2025-07-0${cycle}T13:00:00Z`);
  expect(await after(1000)).toEqual([]);

  for (const name of [good, poison, partly]) await world.ledger.batches.recordMarked(name);
  expect(await after(89)).toEqual([]);
  expect(await after(91)).toEqual([join('batches', good)]);
  expect(existsSync(join(world.batchDirectory, poison))).toBe(true);

  await dropBatch(world.ledger, poison, 'the client was broken');
  await dropBatch(world.ledger, partly, 'the row was a test');
  expect(await after(91)).toEqual([poison, partly].map((name) => join('batches', name)).sort());
  expect(world.ledger.batches.get(poison)).toMatchObject({ reason: 'dropped by hand: the client was broken' });
});

it('W11: keeps the champion, what was promoted and what is undelivered; removes rejects, states and packages', async () => {
  const { runs, deliveries } = world.ledger;
  await mkdir(at('packages'), { recursive: true });
  for (const version of ['v1', 'v2', 'rejected', 'failed', 'v3']) await plan(version);
  for (const version of ['v1', 'v2', 'rejected', 'v3']) await runs.recordTrained(version, {});
  await runs.recordFailed('failed', 'no memory');
  await runs.reject('rejected', 'worse');
  for (const version of ['v1', 'v2', 'v3']) {
    await runs.promote(version, 'better');
    await writeFile(at('packages', `${version}.zip`), version);
    await deliveries.recordPackage(version, { sha256: version, bytes: 2 });
  }
  await deliveries.recordUpload('v1', 'uploaded');
  await deliveries.recordUpload('v3', 'uploaded');

  expect(await after(6)).toEqual([]);
  const states = ['rejected', 'v1', 'v2', 'v3'].map((version) => `runs/${version}/output/checkpoint-4`);
  expect(await after(8)).toEqual(states);
  // v2 waits for its delivery, v3 is the champion.
  expect(await after(10_000)).toEqual([
    'packages/v1.zip',
    'runs/failed/dataset',
    'runs/failed/output',
    'runs/rejected/dataset',
    'runs/rejected/output',
  ]);
  for (const version of ['v1', 'v2', 'v3']) expect(existsSync(at('runs', version, 'output', 'adapter'))).toBe(true);
  expect(existsSync(at('runs', 'rejected', 'launches'))).toBe(true);
});

it('W11: removes drafts and partial files that nobody touches any more', async () => {
  const leftOvers = ['batches/.download-a.tmp', 'batches/.import-b.tmp', 'packages/.v1.zip.c.tmp', 'runs/.v9.draft/x'];
  for (const path of leftOvers) {
    await mkdir(join(at(path), '..'), { recursive: true });
    await writeFile(at(path), 'partial');
  }
  const old = new Date(Date.now() - 2 * day);
  expect(await after(0)).toEqual([]);
  for (const path of [...leftOvers.slice(0, 3), 'runs/.v9.draft']) await utimes(at(path), old, old);
  expect(await after(0)).toEqual([...leftOvers.slice(0, 3), 'runs/.v9.draft']);
});
