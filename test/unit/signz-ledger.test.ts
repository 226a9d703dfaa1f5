import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import Libsql from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Ledger } from '../../src/signz-mind/ledger/ledger.js';

let directory: string;
let path: string;
let ledger: Ledger;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-'));
  path = join(directory, 'ledger.db');
  ledger = Ledger.open(path);
});
afterEach(async () => {
  ledger.close();
  await rm(directory, { recursive: true, force: true });
});

/** Imported batches by name → id. */
async function givenBatches(...names: string[]): Promise<Map<string, number>> {
  const source = { key: '1/a', userId: '1', clientId: 'a' };
  await ledger.batches.recordListing(
    names.map((name) => ({ name, source })),
    'c1',
  );
  await ledger.write((database) => database.exec("UPDATE batches SET state = 'imported' WHERE state = 'listed'"));
  return new Map(names.map((name) => [name, ledger.batches.get(name)?.id ?? 0]));
}

async function givenRun(run: string, batches: Iterable<number>, fingerprint = run): Promise<void> {
  const planned = { run, version: run, cycle: `cycle of ${run}`, fingerprint, trainingSetSha256: 's', simulated: true };
  await ledger.runs.plan(
    { ...planned, trainSamples: 9, heldOutSamples: 1 },
    new Map([...batches].map((id) => [id, 2])),
  );
}

const states = () => Object.fromEntries(ledger.batches.list().map(({ name, state }) => [name, state]));

describe('opening', () => {
  it('makes the schema once, with WAL and full synchronisation', () => {
    ledger.close();
    ledger = Ledger.open(path);
    expect(ledger.reader.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(ledger.reader.get('PRAGMA user_version')).toEqual({ user_version: 2 });
  });

  it('refuses a ledger of a later Tower, a missing one and a file that is none', async () => {
    const later = new Libsql(path);
    later.exec('PRAGMA user_version = 99');
    later.close();
    expect(() => Ledger.open(path)).toThrow(expect.objectContaining({ code: 'LEDGER_TOO_NEW' }));
    expect(() => Ledger.openReadOnly(join(directory, 'none.db'))).toThrow(
      expect.objectContaining({ code: 'LEDGER_MISSING' }),
    );
    await writeFile(join(directory, 'text.db'), 'this is no database, but long enough to look like one'.repeat(30));
    expect(() => Ledger.open(join(directory, 'text.db'))).toThrow(expect.objectContaining({ code: 'LEDGER_FAILED' }));
  });

  it('a ledger opened for reading reads beside a writer and writes nothing', async () => {
    await givenBatches('a');
    const reading = Ledger.openReadOnly(path);
    expect(reading.batches.get('a')).toMatchObject({ state: 'imported', userId: '1' });
    await expect(reading.batches.recordMarked('a')).rejects.toMatchObject({ code: 'LEDGER_READ_ONLY' });
    expect(() => reading.reader.exec('DELETE FROM batches')).toThrow();
    await ledger.batches.recordMarked('a');
    expect(reading.batches.get('a')).toMatchObject({ state: 'marked' });
    reading.close();
  });
});

describe('writing', () => {
  it('takes turns without blocking, and readers see nothing of a write that is not done', async () => {
    await givenBatches('a');
    let finish: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    const long = ledger.write(async (database) => {
      database.exec("UPDATE batches SET reason = 'half'");
      await gate;
    });
    const other = Ledger.open(path);
    const second = other.batches.recordMarked('a');
    await new Promise((resolve) => setImmediate(resolve));
    expect(ledger.batches.get('a')).toMatchObject({ reason: null, state: 'imported' });
    finish();
    await Promise.all([long, second]);
    expect(ledger.batches.get('a')).toMatchObject({ reason: 'half', state: 'marked' });
    other.close();
  });

  it('W7: a write that fails is rolled back and does not leak into the next', async () => {
    await givenBatches('a');
    const failing = ledger.write((database) => {
      database.exec("UPDATE batches SET reason = 'lost'");
      throw new Error('in the middle');
    });
    await expect(failing).rejects.toThrow('in the middle');
    await givenBatches('b');
    expect(ledger.batches.get('a')).toMatchObject({ reason: null });
  });

  it('another process that writes makes it busy, which is retryable', async () => {
    const other = new Libsql(path);
    other.exec('BEGIN IMMEDIATE');
    await expect(ledger.cycles.start('c')).rejects.toMatchObject({ code: 'LEDGER_BUSY', retryable: true });
    other.exec('ROLLBACK');
    other.close();
    await ledger.cycles.start('c');
  });
});

describe('runs and deliveries', () => {
  it('W1: batches stay unsettled until their adapter is delivered', async () => {
    const batches = await givenBatches('a', 'b');
    await givenRun('v1', batches.values());
    await ledger.runs.recordTraining('v1');
    await ledger.runs.recordFailed('v1', 'out of memory');
    expect(states()).toEqual({ a: 'imported', b: 'imported' });
    await ledger.runs.recordTrained('v1', { trainLoss: 1, note: null });
    await ledger.runs.promote('v1', 'better', { heldOutLoss: 2 });
    expect(states()).toEqual({ a: 'trained', b: 'trained' });
    expect(ledger.batches.settleable()).toEqual([]);
    expect(ledger.deliveries.undelivered()).toEqual(['v1']);

    await ledger.deliveries.recordPackage('v1', { sha256: 'p', bytes: 5 });
    await ledger.deliveries.recordAttempt('v1');
    await ledger.deliveries.recordFailure('v1', 'server gone');
    expect(ledger.batches.settleable()).toEqual([]);
    await ledger.deliveries.recordUpload('v1', 'answered');
    expect(ledger.deliveries.get('v1')).toMatchObject({ state: 'uploaded', attempts: 1, reason: 'answered' });
    expect(ledger.batches.settleable().map(({ name, reason }) => [name, reason])).toEqual([
      ['a', 'in the delivered adapter v1'],
      ['b', 'in the delivered adapter v1'],
    ]);
    expect(ledger.runs.champion()).toMatchObject({ run: 'v1', metrics: { trainLoss: 1, note: null, heldOutLoss: 2 } });
  });

  it('a rejected candidate settles its batches and leaves the champion', async () => {
    const batches = await givenBatches('a', 'b');
    await givenRun('v1', [batches.get('a') ?? 0]);
    await ledger.runs.promote('v1', 'first');
    await givenRun('v2', batches.values());
    await ledger.runs.recordTrained('v2', {});
    await ledger.runs.reject('v2', 'worse');
    expect(ledger.runs.champion()?.run).toBe('v1');
    expect(ledger.deliveries.undelivered()).toEqual(['v1']);
    expect(ledger.batches.settleable()).toEqual([
      { name: 'b', reason: 'in the candidate v2, which the gate decided against' },
    ]);
    // What is also in the promoted adapter waits for its delivery.
    await ledger.deliveries.recordPackage('v1', { sha256: 'p', bytes: 5 });
    await ledger.deliveries.recordUpload('v1', 'answered');
    expect(ledger.batches.settleable().map(({ name, reason }) => [name, reason])).toEqual([
      ['a', 'in the delivered adapter v1'],
      ['b', 'in the candidate v2, which the gate decided against'],
    ]);
  });

  it('W9: a newer version takes over the batches of an undelivered one', async () => {
    const batches = await givenBatches('a', 'b');
    await givenRun('v1', [batches.get('a') ?? 0]);
    await ledger.runs.promote('v1', 'first');
    await ledger.deliveries.recordPackage('v1', { sha256: 'p', bytes: 5 });
    await givenRun('v2', [batches.get('b') ?? 0]);
    await ledger.runs.promote('v2', 'better');
    await ledger.deliveries.supersede('v1', 'v2');
    expect(ledger.deliveries.undelivered()).toEqual(['v2']);
    await ledger.deliveries.recordPackage('v2', { sha256: 'q', bytes: 6 });
    await ledger.deliveries.recordUpload('v2', 'answered');
    expect(states()).toEqual({ a: 'delivered', b: 'delivered' });
  });

  it('W13: batches whose rows are in a trained set already take its state', async () => {
    const batches = await givenBatches('a', 'again');
    await givenRun('v1', [batches.get('a') ?? 0], 'same');
    await ledger.runs.promote('v1', 'first');
    await ledger.deliveries.recordPackage('v1', { sha256: 'p', bytes: 5 });
    await ledger.deliveries.recordUpload('v1', 'answered');
    expect(ledger.runs.byFingerprint('same')?.run).toBe('v1');
    await ledger.runs.linkBatches('v1', new Map([[batches.get('again') ?? 0, 1]]));
    expect(states()).toEqual({ a: 'delivered', again: 'delivered' });
    expect(ledger.runs.batchNames('v1')).toEqual(['a', 'again']);
  });

  it('planning again keeps what was fixed', async () => {
    const batches = await givenBatches('a');
    await givenRun('v1', batches.values(), 'first');
    await givenRun('v1', [], 'second');
    expect(ledger.runs.get('v1')).toMatchObject({ fingerprint: 'first', state: 'planned' });
    expect(ledger.runs.batchNames('v1')).toEqual(['a']);
  });

  it('with markAfter import, imported batches are settled, batches not read are not', async () => {
    await givenBatches('a');
    const source = { key: '1/a', userId: '1', clientId: 'a' };
    await ledger.batches.recordListing([{ name: 'unread', source }], 'c2');
    expect(ledger.batches.settleable('import')).toEqual([{ name: 'a', reason: 'imported' }]);
    expect(ledger.batches.settleable('settled')).toEqual([]);
  });
});

it('a cycle is started once and finished with a reason', async () => {
  await ledger.cycles.start('2025-07-01T13:00:00Z');
  await ledger.cycles.start('2025-07-01T13:00:00Z');
  await ledger.cycles.finish('2025-07-01T13:00:00Z', { outcome: 'skipped', reason: 'unchanged' });
  await ledger.cycles.finish('2025-07-02T13:00:00Z', { outcome: 'trained', reason: 'new data' });
  expect(ledger.cycles.list()).toMatchObject([{ outcome: 'trained' }, { outcome: 'skipped', reason: 'unchanged' }]);
});
