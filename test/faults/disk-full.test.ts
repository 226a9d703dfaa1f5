import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { snippet, SignzWorld, towerKey } from '../support/signz-mind.js';

const stages = fileURLToPath(new URL('fixtures/disk-full-stages.js', import.meta.url));
/** A disk of 4 MiB, in a mount namespace that ends with the process; an ordinary user may do that, too. */
const onSmallDisk = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$4" "$5" "$1"';

let world: SignzWorld;
beforeAll(async () => {
  world = await SignzWorld.create();
});
afterAll(() => world.close());

it('a full disk stops each stage with the file’s name, loses nothing, and the stage goes on when there is space', async () => {
  const rows = Array.from({ length: 600 }, (_, index) =>
    snippet({ uuid: `u${index}`, path: `/home/ana/${index}.py`, content: `x = ${index}\n`.repeat(60) }),
  );
  const name = await world.upload(rows.join('\n'));
  const folder = join(world.directory, 'small');
  await mkdir(folder);
  const script = ['-c', onSmallDisk, 'sh', folder, process.execPath, stages, world.server.address, towerKey];
  const { stdout } = await execa('unshare', ['--map-root-user', '--mount', 'sh', ...script]);

  const lines = stdout.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  const full = (file: string) => ({
    ...{ code: 'DISK_FULL', retryable: true, next: 'Free disk space; the work goes on by itself.' },
    message: expect.stringContaining(file) as string,
  });
  expect(lines).toMatchObject([
    { stage: 'download', full: full(`batches/${name}`), left: [], then: 'done' },
    { stage: 'import', full: full('disk of the ledger'), left: [], then: 'done' },
    { stage: 'training set', full: full('dataset/train.jsonl'), left: [], then: 'done' },
    { stage: 'package', full: full('packages/a.zip'), left: [], then: 'done' },
    { stage: 'record', full: full('disk of the ledger'), left: [], then: 'done' },
    { stage: 'check', lines: 600, stored: 600, faults: [] },
  ]);
});
