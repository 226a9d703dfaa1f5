import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { markSettledBatches } from '../../src/signz-mind/delivery/mark-batches.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { dumpLedger } from '../support/ledger-dump.js';
import { feedback, options, snippet, SignzWorld } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const downloadRoute = '/data/download_batch/{name}';

async function batch(...lines: string[]): Promise<string> {
  return world.upload(lines.join('\n'));
}

describe('repeats', () => {
  it('downloads nothing twice and changes nothing', async () => {
    await batch(snippet(), feedback());
    const first = await world.ingest();
    const dump = dumpLedger(world.ledgerPath);
    expect(await world.ingest()).toEqual({ ...first, alreadyImported: 1 });
    expect(dumpLedger(world.ledgerPath)).toBe(dump);
    expect(world.server.operations().filter(({ route }) => route === downloadRoute)).toHaveLength(1);
  });

  it('two attempts at the same time import every row once', async () => {
    for (let index = 0; index < 6; index++)
      await batch(snippet({ uuid: `u${index}` }), feedback({ uuid: `f${index}` }));
    await Promise.all([world.ingest(), world.ingest()]);
    expect(checkLedger(world.ledger)).toMatchObject({ batches: 6, lines: 12, stored: 12, superseded: 0, faults: [] });
  });

  it('downloads again what was changed or lost on disk before its import', async () => {
    const [changed, lost] = [await batch(snippet({ uuid: 'a' })), await batch(snippet({ uuid: 'b' }))];
    await world.ingest();
    await world.ledger.write((database) => {
      database.exec('DELETE FROM snippets');
      database.exec("UPDATE batches SET state = 'downloaded', imported_at = NULL, imported_cycle = NULL");
    });
    const path = join(world.batchDirectory, changed);
    const content = await readFile(path, 'utf8');
    await writeFile(`${path}.x`, content.replace('import', 'IMPORT'));
    await rename(`${path}.x`, path);
    await rm(join(world.batchDirectory, lost));
    expect(await world.ingest()).toMatchObject({ imported: 2, postponedCount: 0 });
    const contents = world.ledger.reader.all<{ content: string }>('SELECT content FROM snippets ORDER BY id');
    expect(contents.map((row) => row.content)).toEqual([
      expect.stringContaining('import math'),
      expect.stringContaining('import math'),
    ]);
  });

  it('a batch that the server offers again after its mark can be marked again', async () => {
    const name = await batch(snippet({ quality_label: 'neutral' }));
    await world.ingest();
    const { client, ledger } = world;
    await markSettledBatches({ client, ledger, markAfter: 'import' }, options);
    const folder = join(world.serverDirectory, 'data_batches');
    await rename(join(folder, 'processed_by_tower', name), join(folder, name));
    expect(await world.ingest('2025-07-02T13:00:00Z')).toMatchObject({ imported: 0, alreadyImported: 1 });
    expect(await markSettledBatches({ client, ledger, markAfter: 'import' }, options)).toMatchObject({ marked: 1 });
    expect((await client.listNewBatches()).names).toEqual([]);
  });
});
