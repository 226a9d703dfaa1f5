import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { markSettledBatches } from '../../src/signz-mind/delivery/mark-batches.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { faultsFromRules } from '../../src/sims/signz-mind/faults.js';
import { dumpLedger } from '../support/ledger-dump.js';
import { feedback, options, snippet, SignzWorld } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const downloadRoute = '/data/download_batch/{name}';
const day = (number: number) => `2025-07-0${number}T13:00:00Z`;

function quarantined(): { line: number; reason: string; excerpt: string }[] {
  return world.ledger.reader.all('SELECT line, reason, excerpt FROM quarantined_rows ORDER BY batch_id, line');
}

function contents(): string[] {
  return world.ledger.reader
    .all<{ content: string }>('SELECT content FROM snippets ORDER BY id')
    .map((row) => row.content);
}

async function batch(...lines: string[]): Promise<string> {
  return world.upload(lines.join('\n'));
}

describe('whole files', () => {
  it.each([
    ['empty', '', 'empty'],
    ['compressed', gzipSync(snippet().repeat(9)), 'none of its'],
    ['UTF-16', Buffer.from(`\ufeff${snippet()}`, 'utf16le'), 'none of its'],
    ['without any row', '5\n[1]\n{"type":"other"}', 'none of its 3 lines'],
  ])('W2: a batch that is %s is a failure, kept and never marked as read', async (_what, content, reason) => {
    const name = await world.upload(content);
    const summary = await world.ingest();
    expect(summary).toMatchObject({ imported: 0, quarantined: 0, postponedCount: 1 });
    expect(summary.postponed[0]?.reason).toContain(reason);
    expect(world.ledger.batches.get(name)).toMatchObject({ state: 'downloaded', failedCycles: 1 });
    expect(world.ledger.batches.settleable('import')).toEqual([]);
    expect(existsSync(join(world.batchDirectory, name))).toBe(true);
  });

  it('W4: an unusable file counts once a cycle, is set aside after three and is marked with its raw file kept', async () => {
    const bad = await world.upload('no batch');
    const good = await batch(snippet());
    for (const number of [1, 1, 1, 2, 2]) await world.ingest(day(number));
    expect(world.ledger.batches.get(bad)).toMatchObject({ state: 'downloaded', failedCycles: 2 });

    expect(await world.ingest(day(3))).toMatchObject({ quarantined: 1, postponedCount: 0 });
    expect(await world.ingest(day(3))).toMatchObject({ quarantined: 1 });
    const record = world.ledger.batches.get(bad);
    expect(record).toMatchObject({ state: 'quarantined', failedCycles: 3 });
    expect(world.ledger.batches.settleable()).toEqual([{ name: bad, reason: record?.settledReason }]);
    expect(record?.settledReason).toContain('set aside after 3 cycles, raw file kept');

    const { client, ledger } = world;
    expect(await markSettledBatches({ client, ledger, markAfter: 'settled' }, options)).toMatchObject({ marked: 1 });
    expect((await client.listNewBatches()).names).toEqual([good]);
    expect(await readFile(join(world.batchDirectory, bad), 'utf8')).toBe('no batch');
  });

  it('a batch over the size limit counts as an unusable file', async () => {
    const name = await batch(snippet({ content: 'x'.repeat(5000) }));
    const client = world.clientWith({ maxBatchBytes: 1000 });
    const { ledger, batchDirectory } = world;
    const { ingestBatches } = await import('../../src/signz-mind/ingest/ingest-batches.js');
    await ingestBatches({ client, ledger, batchDirectory, cycle: day(1) }, options);
    expect(ledger.batches.get(name)).toMatchObject({ state: 'listed', failedCycles: 1 });
  });
});

describe('rows', () => {
  it.each(['5', '[1]', 'null', '"x"', '{broken'])('W3: a first line %s is that line’s error alone', async (line) => {
    await batch(line, snippet(), feedback());
    expect(await world.ingest()).toMatchObject({ imported: 1, rows: { new: 2, quarantined: 1 } });
    expect(quarantined()).toMatchObject([{ line: 1, excerpt: line }]);
  });

  it('W4: one bad row stops no batch; line number and reason are kept', async () => {
    await batch(
      snippet(),
      snippet({ uuid: 'u2', content: '' }),
      '',
      '{"type":"snippet"',
      feedback({ ai_action_type: 0 }),
    );
    expect(await world.ingest()).toMatchObject({ imported: 1, rows: { new: 1, quarantined: 3 } });
    expect(quarantined().map(({ line, reason }) => [line, reason])).toEqual([
      [2, 'content is missing or empty'],
      [4, expect.stringContaining('not JSON') as string],
      [5, 'ai_action_type is missing or empty'],
    ]);
    expect(checkLedger(world.ledger)).toMatchObject({ lines: 4, stored: 1, quarantined: 3, faults: [] });
  });

  it('keeps rows apart from bytes that are not UTF-8, NUL characters, half surrogates and lines beyond the limit', async () => {
    const invalid = Buffer.concat([
      Buffer.from('{"type":"snippet","uuid":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ]);
    const lines = [
      Buffer.from(snippet()),
      invalid,
      Buffer.from(snippet({ uuid: 'nul', content: 'a\0b' })),
      Buffer.from(snippet({ uuid: 'half' }).replace('import', '\\ud83d')),
      Buffer.from(snippet({ uuid: 'long', content: 'x'.repeat(9 * 1024 * 1024) })),
      Buffer.from(snippet({ uuid: 'last' })),
    ];
    await world.upload(Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\r\n')])));
    expect(await world.ingest()).toMatchObject({ rows: { new: 2, quarantined: 4 } });
    expect(quarantined().map(({ line, reason }) => [line, reason])).toEqual([
      [2, 'not UTF-8'],
      [3, 'content contains a NUL character: not text'],
      [4, 'content contains half a surrogate pair: not Unicode text'],
      [5, expect.stringContaining('the limit is 8388608') as string],
    ]);
  });

  it('reads past a byte order mark, and ends lines at \\r, \\n and \\r\\n', async () => {
    const uuids = ['a', 'b', 'c', 'd'];
    const [a, b, c, d] = uuids.map((uuid) => snippet({ uuid }));
    await world.upload(`\ufeff${a ?? ''}\r${b ?? ''}\r\n${c ?? ''}\n\n  \n${d ?? ''}`);
    expect(await world.ingest()).toMatchObject({ rows: { new: 4, quarantined: 0 } });
  });

  it('W5: the client’s own time decides, whatever the order of import', async () => {
    const at = (time: string, content: string) => snippet({ last_modified_utc: time, content });
    await batch(at('2025-07-01T10:00:00.000Z', 'second'), at('2025-07-01T09:00:00.000Z', 'first'));
    await world.ingest(day(1));
    expect(contents()).toEqual(['second']);
    // Edited before the import of the version above, uploaded after it.
    await batch(at('2025-07-01T10:00:00.500Z', 'third'), at('2025-07-01T12:00:01+02:00', 'fourth'));
    expect(await world.ingest(day(2))).toMatchObject({ rows: { new: 0, updated: 2 } });
    expect(contents()).toEqual(['fourth']);
    expect(checkLedger(world.ledger)).toMatchObject({ lines: 4, stored: 1, superseded: 3, faults: [] });
  });

  it('an update moves the row from the older batch to the newer one', async () => {
    const old = await batch(snippet(), feedback());
    await world.ingest(day(1));
    const update = await batch(snippet({ last_modified_utc: '2025-07-01T11:00:00.000Z', content: 'new' }), feedback());
    await world.ingest(day(2));
    expect(world.ledger.batches.get(old)).toMatchObject({ lines: 2, newRows: 2, replacedRows: 1 });
    expect(world.ledger.batches.get(update)).toMatchObject({
      lines: 2,
      updatedRows: 1,
      duplicateRows: 1,
      replacedRows: 0,
    });
    expect(checkLedger(world.ledger)).toMatchObject({ lines: 4, stored: 2, superseded: 2, faults: [] });
  });

  it('W6: two users and a client with a new database keep the same path apart', async () => {
    await world.upload(snippet({ content: 'ana' }));
    await world.upload(snippet({ content: 'bert' }), 'bert-key');
    await world.upload(snippet({ uuid: 'new-database', content: 'ana again' }));
    expect(await world.ingest()).toMatchObject({ imported: 3, rows: { new: 3, quarantined: 0 } });
    expect(contents().sort()).toEqual(['ana', 'ana again', 'bert']);
  });

  it('W7: a batch whose file fails in the middle leaves no row behind', async () => {
    const name = await batch(...Array.from({ length: 50 }, (_, index) => snippet({ uuid: `u${index}` })));
    await batch(snippet({ uuid: 'other' }));
    await world.ingest(day(1));
    // As if the first batch were new again, with a raw file that is not the downloaded one.
    await world.ledger.write((database) => {
      database.exec("DELETE FROM snippets WHERE uuid <> 'other'");
      database.run(
        "UPDATE batches SET state = 'downloaded', imported_at = NULL, sha256 = 'other' WHERE name = ?",
        name,
      );
    });
    world.faults = faultsFromRules([{ route: downloadRoute, times: 9, fault: { kind: 'status', status: 500 } }]);
    expect(await world.ingest(day(2))).toMatchObject({ postponedCount: 1 });
    await batch(snippet({ uuid: 'next' }));
    world.faults = faultsFromRules([{ route: downloadRoute, name, times: 9, fault: { kind: 'status', status: 500 } }]);
    await world.ingest(day(3));
    expect(world.ledger.reader.all('SELECT uuid FROM snippets ORDER BY id')).toEqual([
      { uuid: 'other' },
      { uuid: 'next' },
    ]);
  });

  it('W20: no absolute path of a user’s machine is in the ledger', async () => {
    await batch(snippet(), feedback(), '{"type":"snippet","path":"/home/ana/proj/geo.py","uuid":""}');
    await world.ingest();
    expect(dumpLedger(world.ledgerPath)).not.toContain('/home/ana');
    expect(quarantined()).toMatchObject([{ line: 3 }]);
  });
});

describe('faults of the connection', () => {
  it('W8: a cut download costs one more try, not the day', async () => {
    const names = [
      await batch(snippet({ uuid: 'a' })),
      await batch(snippet({ uuid: 'b' })),
      await batch(snippet({ uuid: 'c' })),
    ];
    world.faults = faultsFromRules([
      { route: downloadRoute, name: names[0], times: 1, fault: { kind: 'short-body', bytes: 30 } },
      { route: downloadRoute, name: names[1], times: 2, fault: { kind: 'status', status: 502 } },
    ]);
    const summary = await world.ingest(day(1));
    expect(summary).toMatchObject({ listed: 3, imported: 2, postponedCount: 1 });
    expect(summary.postponed[0]).toMatchObject({ name: names[1], reason: expect.stringContaining('502') as string });
    expect(world.ledger.batches.get(names[1] ?? '')).toMatchObject({ state: 'listed', failedCycles: 0 });
    expect(await world.ingest(day(2))).toMatchObject({ imported: 1, alreadyImported: 2, postponedCount: 0 });
  });

  it('W14: a listing that fails is an error, an empty one is not', async () => {
    expect(await world.ingest()).toMatchObject({ listed: 0, imported: 0 });
    world.faults = faultsFromRules([
      { route: '/data/list_new_batches', times: 1, fault: { kind: 'status', status: 500 } },
    ]);
    await expect(world.ingest()).rejects.toMatchObject({ code: 'SERVER_FAILED', retryable: true });
  });

  it('a rejected key ends the ingest at once', async () => {
    await batch(snippet());
    world.faults = faultsFromRules([{ route: downloadRoute, times: 1, fault: { kind: 'status', status: 401 } }]);
    await expect(world.ingest()).rejects.toMatchObject({ code: 'SERVER_KEY_REJECTED' });
  });

  it('a server that is gone ends the ingest as retryable, and the next attempt goes on', async () => {
    for (const uuid of ['a', 'b', 'c', 'd', 'e']) await batch(snippet({ uuid }));
    let downloads = 0;
    world.faults = ({ route }) => {
      if (route !== downloadRoute) return undefined;
      downloads += 1;
      return downloads > 1 ? { kind: 'reset', when: 'before-acting' } : undefined;
    };
    await expect(world.ingest()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE', retryable: true });
    expect(downloads).toBe(4);
    world.faults = undefined;
    expect(await world.ingest()).toMatchObject({ imported: 5, alreadyImported: 1, rows: { new: 5 } });
  });
});

it('the check notices rows that are gone or counted twice', async () => {
  await batch(snippet(), feedback());
  await world.ingest();
  await world.ledger.write((database) => database.exec('DELETE FROM feedback'));
  expect(checkLedger(world.ledger).faults.map(({ fault }) => fault)).toEqual([
    'rows in: 2 noted, 1 found',
    'stored rows: 2 noted, 1 found',
  ]);
});
