import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openPromise } from 'yauzl';

import { sha256OfFile } from '../../src/files/sha256.js';
import { packageAdapter } from '../../src/signz-mind/delivery/package-adapter.js';
import { options } from '../support/signz-mind.js';

let directory: string;
let adapterDirectory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-'));
  adapterDirectory = join(directory, 'adapter');
  await mkdir(join(adapterDirectory, 'checkpoint-2'), { recursive: true });
  const files = [
    ...['adapter_config.json', 'README.md', 'tokenizer.json', 'tokenizer_config.json'],
    ...['training_args.bin', 'optimizer.pt', 'trainer_state.json', 'checkpoint-2/adapter_model.safetensors'],
  ];
  for (const name of files) await writeFile(join(adapterDirectory, name), `content of ${name}`);
  await writeFile(join(adapterDirectory, 'adapter_model.safetensors'), randomBytes(2_000_000));
  await symlink('/etc/hostname', join(adapterDirectory, 'vocab.json'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const manifest = { version: 'adapter_ft_20250701_130000', batches: ['a', 'b'] };
const pack = (name: string) =>
  packageAdapter({ adapterDirectory, manifest, targetPath: join(directory, 'packages', name) }, options);

async function entriesOf(path: string): Promise<Map<string, Buffer>> {
  const zip = await openPromise(path);
  const entries = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry())
    entries.set(entry.fileName, await buffer(await zip.openReadStreamPromise(entry)));
  zip.close();
  return entries;
}

it('W12: holds the adapter, the tokenizer and tower.json at its root, and nothing of the training', async () => {
  const packaged = await pack('one.zip');
  const entries = await entriesOf(packaged.path);
  const names = [
    ...['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
    'tower.json',
  ];
  expect([...entries.keys()]).toEqual(names);
  expect(packaged.entries).toEqual(names);
  expect(JSON.parse(entries.get('tower.json')?.toString() ?? '')).toEqual(manifest);
  const weights = await readFile(join(adapterDirectory, 'adapter_model.safetensors'));
  expect(entries.get('adapter_model.safetensors')?.equals(weights)).toBe(true);
  expect(packaged.sha256).toBe(await sha256OfFile(packaged.path));
  expect(await readdir(join(directory, 'packages'))).toEqual(['one.zip']);
});

it('gives the same bytes again, with other file times and in another time zone', async () => {
  const first = await pack('one.zip');
  for (const name of await readdir(adapterDirectory)) await utimes(join(adapterDirectory, name), 0, 1_000_000_000);
  const zone = process.env['TZ'];
  try {
    process.env['TZ'] = 'Pacific/Kiritimati';
    expect((await pack('two.zip')).sha256).toBe(first.sha256);
  } finally {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  }
});

it('is read by Python’s zipfile, which the editors use', async () => {
  const { path } = await pack('one.zip');
  const script = 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), len(z.namelist()))';
  expect((await execa('python3', ['-c', script, path])).stdout).toBe('None 6');
});

it('refuses a folder without the adapter’s own files and leaves nothing behind', async () => {
  await rm(join(adapterDirectory, 'adapter_model.safetensors'));
  await expect(pack('one.zip')).rejects.toMatchObject({ code: 'ADAPTER_INCOMPLETE', retryable: false });
  expect(await readdir(directory)).toEqual(['adapter']);
});

it('leaves no half package when it is aborted', async () => {
  const abort = new AbortController();
  const work = packageAdapter(
    { adapterDirectory, manifest, targetPath: join(directory, 'packages', 'one.zip') },
    { ...options, signal: abort.signal },
  );
  abort.abort();
  await expect(work).rejects.toThrow();
  expect(await readdir(join(directory, 'packages')).catch(() => [])).toEqual([]);
});
