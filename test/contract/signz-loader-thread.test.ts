import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { TowerError } from '../../src/errors.js';
import { importBatch } from '../../src/signz-mind/ingest/import-batch.js';
import { recordLocalBatch } from '../../src/signz-mind/ledger/batch-edits.js';
import type { BatchRecord } from '../../src/signz-mind/ledger/batches.js';
import { failure } from '../support/server-faults.js';
import { options, snippet, SignzWorld } from '../support/signz-mind.js';

const cycle = '2025-07-01T13:00:00Z';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

it('an import that is cancelled in the middle ends with the reason, stores nothing, and can be done again', async () => {
  const batch = await downloaded(Array.from({ length: 4000 }, (_, index) => snippet({ uuid: `u${index}` })).join('\n'));
  const abort = new AbortController();
  const reason = new Error('a person has cancelled it');
  const onProgress = () => abort.abort(reason);
  await expect(importBatch(world.ledger, batch, { signal: abort.signal, onProgress })).rejects.toBe(reason);
  expect(rows()).toBe(0);
  expect(world.ledger.batches.get(batch.name)?.state).toBe('downloaded');

  expect(await importBatch(world.ledger, batch, options)).toMatchObject({ new: 4000 });
  expect(rows()).toBe(4000);
});

it('errors keep their kind, code and next step on their way out of the thread', async () => {
  const batch = await downloaded('no batch');
  const error = await failure(importBatch(world.ledger, batch, options));
  expect(error).toBeInstanceOf(TowerError);
  expect(error).toMatchObject({ name: 'BatchFileFaultError', code: 'BATCH_FILE_FAULT', retryable: false });
  expect(error.next).toContain('Look at the raw file');
  const gone = importBatch(world.ledger, { ...batch, path: join(world.directory, 'gone') }, options);
  await expect(gone).rejects.toMatchObject({ code: 'ENOENT' });
});

it('other writes wait for an import and are not lost', async () => {
  const batch = await downloaded(Array.from({ length: 2000 }, (_, index) => snippet({ uuid: `u${index}` })).join('\n'));
  const done: string[] = [];
  await Promise.all([
    importBatch(world.ledger, batch, options).then(() => done.push('import')),
    world.ledger.cycles.finish(cycle, { outcome: 'trained', reason: 'r' }).then(() => done.push('record')),
  ]);
  expect(done).toEqual(['import', 'record']);
  expect(world.ledger.cycles.get(cycle)?.outcome).toBe('trained');
});

async function downloaded(content: string): Promise<BatchRecord & { path: string }> {
  const name = 'a.jsonl';
  const path = join(world.directory, name);
  writeFileSync(path, content);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const bytes = Buffer.byteLength(content);
  await recordLocalBatch(world.ledger, { name, source: 'local', origin: 'local', cycle, bytes, sha256 });
  const batch = world.ledger.batches.get(name);
  if (batch === undefined) throw new Error('the batch was not recorded');
  return { ...batch, path };
}

function rows(): number {
  return world.ledger.reader.get<{ count: number }>('SELECT count(*) AS count FROM snippets')?.count ?? -1;
}
