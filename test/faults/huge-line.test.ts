import { Readable } from 'node:stream';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { ingestBatches } from '../../src/signz-mind/ingest/ingest-batches.js';
import { quarantinedRows } from '../../src/signz-mind/ledger/row-history.js';
import { withServer } from '../support/server-faults.js';
import { options, snippet, SignzWorld } from '../support/signz-mind.js';

const gibibyte = 2 ** 30;
const name = 'batch_user_4_laptop_20250701_101500_000000.jsonl';

let world: SignzWorld;
beforeAll(async () => {
  world = await SignzWorld.create();
});
afterAll(() => world.close());

it('a line of 1 GB costs its own row, and neither memory nor the rows around it', async () => {
  const before = process.memoryUsage().rss;
  let peak = before;
  const summary = await withServer(
    (request, response) => {
      if (request.url === '/data/list_new_batches') response.end(JSON.stringify({ new_batch_files: [name] }));
      else Readable.from(hugeBatch()).pipe(response.writeHead(200));
    },
    (baseUrl) =>
      ingestBatches(
        {
          ...{ client: world.clientWith({ baseUrl }), ledger: world.ledger, batchDirectory: world.batchDirectory },
          cycle: '2025-07-01T13:00:00Z',
        },
        { ...options, onProgress: () => (peak = Math.max(peak, process.memoryUsage().rss)) },
      ),
  );
  expect(summary).toMatchObject({ imported: 1, rows: { new: 2, quarantined: 1 } });
  expect(quarantinedRows(world.ledger.reader)).toEqual([
    { batch: name, line: 2, reason: `the line has ${gibibyte + 2} bytes, the limit is 8388608`, excerpt: '' },
  ]);
  // The sending server runs in this process, too.
  expect(peak - before).toBeLessThan(200 * 2 ** 20);
});

function* hugeBatch(): Generator<Buffer> {
  const part = Buffer.alloc(2 ** 20, 'x');
  yield Buffer.from(`${snippet({ uuid: 'before' })}\n"`);
  for (let sent = 0; sent < gibibyte; sent += part.length) yield part;
  yield Buffer.from(`"\n${snippet({ uuid: 'after' })}`);
}
