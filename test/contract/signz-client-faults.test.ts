import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { faultsFromRules } from '../../src/sims/signz-mind/faults.js';
import { failure, rule } from '../support/server-faults.js';
import { snippet, SignzWorld } from '../support/signz-mind.js';

const listRoute = '/data/list_new_batches';
const downloadRoute = '/data/download_batch/{name}';
const uploadRoute = '/model/upload';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

describe('a slow server', () => {
  it('that stops moving is timed out', async () => {
    const name = await world.upload(snippet().repeat(10));
    world.faults = faultsFromRules([rule(downloadRoute, { kind: 'slow', bytes: 2000, pauseMs: 2000 })]);
    const client = world.clientWith({ timeouts: { downloadMs: 200 } });
    expect(await failure(client.downloadBatch(name, world.batchDirectory))).toMatchObject({ code: 'SERVER_TIMEOUT' });
    expect(await readdir(world.batchDirectory)).toEqual([]);
  });
});

describe('a wrong length', () => {
  it('above the body leaves nothing behind', async () => {
    const name = await world.upload(snippet());
    world.faults = faultsFromRules([rule(downloadRoute, { kind: 'wrong-length', by: 50 })]);
    const client = world.clientWith({ timeouts: { downloadMs: 300 } });
    expect(await failure(client.downloadBatch(name, world.batchDirectory))).toMatchObject({ retryable: true });
    expect(await readdir(world.batchDirectory)).toEqual([]);
  });

  it('below the body costs no more than the row that it cuts, which is named', async () => {
    const name = await world.upload(`${snippet()}\n${snippet({ uuid: 'cut' })}`);
    world.faults = faultsFromRules([rule(downloadRoute, { kind: 'wrong-length', by: -20 })]);
    expect(await world.ingest()).toMatchObject({ imported: 1, rows: { new: 1, quarantined: 1 } });
    expect(world.ledger.reader.all('SELECT line, reason FROM quarantined_rows')).toMatchObject([
      { line: 2, reason: expect.stringContaining('not JSON') as string },
    ]);
    expect(world.ledger.batches.get(name)).toMatchObject({ lines: 2 });
  });
});

describe('an endless body', () => {
  it('for a listing is given up', async () => {
    world.faults = faultsFromRules([rule(listRoute, { kind: 'endless-body' })]);
    expect(await failure(world.client.listNewBatches())).toMatchObject({
      code: 'SERVER_ANSWER_INVALID',
      message: expect.stringContaining('at most 33554432 bytes') as string,
    });
  });

  it.each([
    [503, 'SERVER_FAILED', true],
    [401, 'SERVER_KEY_REJECTED', false],
  ])('with the status %i is what the status says', async (status, code, retryable) => {
    world.faults = faultsFromRules([rule(listRoute, { kind: 'endless-body', status })]);
    expect(await failure(world.client.listNewBatches())).toMatchObject({ code, retryable, details: { status } });
  });
});

it('a redirected upload is not sent to another place, and says where the server points', async () => {
  const location = 'http://example.invalid/model/upload';
  world.faults = faultsFromRules([rule(uploadRoute, { kind: 'status', status: 307, headers: { location } })]);
  const file = join(world.serverDirectory, 'users.json');
  const upload = { version: 'adapter_ft_20250701_130000', trainingDate: '2025-07-01', notes: 'n', file };
  const error = await failure(world.client.uploadModel(upload));
  expect(error).toMatchObject({ code: 'SERVER_REDIRECTED', retryable: false });
  expect(error.message).toContain(location);
});
