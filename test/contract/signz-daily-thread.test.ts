import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { markSettledBatches } from '../../src/signz-mind/delivery/mark-batches.js';
import { packageAdapter } from '../../src/signz-mind/delivery/package-adapter.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { buildTrainingSet } from '../../src/signz-mind/training-set/build-training-set.js';
import { editorBatches } from '../../src/sims/signz-mind/editor-batches.js';
import { options, SignzWorld } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const cycle = '2025-07-01T13:00:00Z';
const version = 'adapter_ft_20250701_130000';

it('carries three editors’ batches from the upload to a delivered adapter and marks them', async () => {
  const { client, ledger, directory } = world;
  for (const { content, clientId } of editorBatches({ seed: 'thread', day: 0 })) {
    await world.upload(content, undefined, clientId);
  }

  const summary = await world.ingest(cycle);
  expect(summary).toMatchObject({ listed: 3, imported: 3, postponedCount: 0, rows: { updated: 0, quarantined: 0 } });

  const target = {
    ...{ ledger, directory: join(directory, 'dataset'), format: 'editor' as const, heldOutShare: 0.1 },
    ...{ snippets: true, snippetQualityLabel: 'gut (Training)', feedback: true },
    positiveFeedbackTypes: ['suggestion_used'],
  };
  const set = await buildTrainingSet(target, options);
  expect(set.trainSamples).toBeGreaterThan(15);
  expect(set.heldOutSamples).toBeGreaterThan(0);
  const firstSample = JSON.parse((await readFile(set.trainPath, 'utf8')).split('\n')[0] ?? '') as object;
  expect(firstSample).toHaveProperty('completion');

  const planned = { run: version, version, cycle, fingerprint: 'f', simulated: true, trainingSetSha256: set.sha256 };
  const { trainSamples, heldOutSamples } = set;
  await ledger.runs.plan({ ...planned, trainSamples, heldOutSamples }, set.batches);
  await ledger.runs.recordTrained(version, { trainLoss: 1.5 });
  expect(ledger.batches.settleable()).toEqual([]);
  await ledger.runs.promote(version, 'first adapter');

  const adapterDirectory = join(directory, 'adapter');
  await mkdir(adapterDirectory);
  for (const name of ['adapter_config.json', 'adapter_model.safetensors', 'simulated.json']) {
    await writeFile(join(adapterDirectory, name), `{"file":"${name}"}`);
  }
  const targetPath = join(directory, `${version}.zip`);
  const packaged = await packageAdapter({ adapterDirectory, manifest: { version }, targetPath }, options);
  await ledger.deliveries.recordPackage(version, packaged);
  const upload = {
    version,
    trainingDate: '2025-07-01',
    notes: `simulated; sha256 ${packaged.sha256}`,
    file: targetPath,
  };
  expect(await client.uploadModel(upload)).toMatchObject({ outcome: 'uploaded' });
  await ledger.deliveries.recordUpload(version, 'answered');

  const marked = await markSettledBatches({ client, ledger, markAfter: 'settled' }, options);
  expect(marked).toEqual({ marked: 3, reasons: { [`in the delivered adapter ${version}`]: 3 } });
  expect((await client.listNewBatches()).names).toEqual([]);
  expect(await client.latestVersion()).toMatchObject({ version });
  expect(existsSync(join(world.serverDirectory, 'uploaded_models', `${version}.zip`))).toBe(true);
  expect(ledger.batches.countByState()).toEqual({ marked: 3 });
  expect(checkLedger(ledger)).toMatchObject({ batches: 3, faults: [] });
});
