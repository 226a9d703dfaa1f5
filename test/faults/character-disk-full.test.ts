import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { characterFolders, picture, type CharacterFolders } from '../support/character-run.js';

const stages = fileURLToPath(new URL('fixtures/character-disk-full-stages.js', import.meta.url));
/** A disk of 4 MiB, in a mount namespace that ends with the process; an ordinary user may do that, too. */
const onSmallDisk = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$1" "$4"';

let folders: CharacterFolders;
beforeAll(async () => {
  folders = await characterFolders();
});
afterAll(() => folders.remove());

it('a full disk stops each stage with the file’s name, and the stage goes on when there is space', async () => {
  const [small, pictures] = [join(folders.root, 'small'), join(folders.root, 'pictures')];
  await mkdir(small);
  for (const index of [1, 2, 3]) await picture(join(pictures, `${index}.png`), index);
  await writeFile(join(pictures, 'lora.safetensors'), lora(200_000));
  const script = ['-c', onSmallDisk, 'sh', small, process.execPath, stages, pictures];
  const { stdout } = await execa('unshare', ['--map-root-user', '--mount', 'sh', ...script]);

  const full = (file: string) => ({
    code: 'DISK_FULL',
    retryable: true,
    message: expect.stringContaining(file) as string,
  });
  expect(stdout.split('\n').map((line) => JSON.parse(line) as unknown)).toEqual([
    { stage: 'reserve', full: full('datasets'), then: 'done' },
    { stage: 'journal', full: full('images.jsonl'), then: 'done' },
    { stage: 'captions', full: full('Elara-v1'), then: 'done' },
    { stage: 'publish', full: full('loras'), then: 'done' },
    {
      stage: 'check',
      accepted: [1, 2, 3],
      loras: ['elara-v1.safetensors', 'elara.safetensors'],
      hidden: 0,
      captions: 3,
    },
  ]);
});

function lora(bytes: number): Buffer {
  const tensor = { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] };
  const header = JSON.stringify({ 'lora_unet_x.lora_up.weight': tensor });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(bytes, 1)]);
}
