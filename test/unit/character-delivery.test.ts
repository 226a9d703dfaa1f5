import { link, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { checkThresholdsSchema } from '../../src/character/check-thresholds.js';
import { compareProof } from '../../src/character/compare-proof.js';
import { placeByMarker } from '../../src/character/place-version.js';
import { publishLora, readDelivery, type Delivery, type PublishRequest } from '../../src/character/publish.js';
import { sha256OfFile } from '../../src/files/sha256.js';
import { lora as loraFile, publishRequest } from '../support/publish-request.js';
import { characterFolders, picture, type CharacterFolders } from '../support/character-run.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const options = () => ({ signal: new AbortController().signal, log: pino({ level: 'silent' }) });

const lora = (content: string, comment?: string) => loraFile(folders, content, comment);

const request = (run: string, fields?: Partial<PublishRequest>) => publishRequest(folders, run, fields);

const publish = async (run: string, fields: Partial<PublishRequest> = {}): Promise<Delivery> =>
  publishLora(await request(run, fields), options());

const visible = async () => (await readdir(folders.loras)).filter((name) => !name.startsWith('.')).sort();

describe('W16: a LoRA appears whole, under a name that never was', () => {
  it('complete, readable for everybody, the next version each time', async () => {
    const delivery = await publish('a');
    expect(delivery).toMatchObject({
      loraName: 'elara_lora-v1.safetensors',
      version: 1,
      simulated: false,
      alias: null,
    });
    expect(await readFile(delivery.path)).toEqual(await readFile(join(folders.root, 'a.safetensors')));
    expect((await stat(delivery.path)).mode & 0o777).toBe(0o644);
    expect(await sha256OfFile(delivery.path)).toBe(delivery.sha256);
    expect(await publish('b')).toMatchObject({ loraName: 'elara_lora-v2.safetensors' });
    await rm(delivery.path);
    await writeFile(join(folders.loras, 'ELARA_LORA-V7.safetensors'), 'x');
    await writeFile(join(folders.loras, 'elara_lora-v9.json'), '{}');
    expect(await publish('c')).toMatchObject({ version: 10 });
    expect(await visible()).toEqual([
      'ELARA_LORA-V7.safetensors',
      'elara_lora-v10.safetensors',
      'elara_lora-v2.safetensors',
      'elara_lora-v9.json',
    ]);
    expect((await readdir(folders.loras)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('of ten jobs for one name at the same moment each has its own', async () => {
    const all = await Promise.all(Array.from({ length: 10 }, (_, index) => publish(`run${index}`)));
    expect(new Set(all.map(({ loraName }) => loraName)).size).toBe(10);
    for (const { path, sha256 } of all) expect(await sha256OfFile(path)).toBe(sha256);
  });

  it('a repeated call finds what it has published', async () => {
    const first = await publish('a');
    expect(await publish('a')).toEqual(first);
    expect(await visible()).toHaveLength(1);
    expect(await readDelivery(join(folders.root, 'none.json'))).toBeUndefined();
  });

  it('a run that has chosen another epoch since publishes that one, under a version of its own', async () => {
    await publish('a');
    const other = await publish('a', { source: await lora('b') });
    expect(other).toMatchObject({ loraName: 'elara_lora-v2.safetensors' });
    expect(await sha256OfFile(other.path)).toBe(other.sha256);
    expect(await visible()).toHaveLength(2);
  });

  it('a crash between its appearance and the record publishes no second one', async () => {
    const first = await publish('a');
    await rm(join(folders.root, 'a.json'));
    await link(first.path, join(folders.loras, `.tower-a-${first.sha256.slice(0, 12)}.tmp`));
    await publish('b');
    expect(await publish('a')).toMatchObject({ loraName: first.loraName, version: 1 });
    expect(await visible()).toHaveLength(2);
    expect(await readdir(folders.loras)).toHaveLength(2);
  });

  it('without hard links the name is reserved by a file beside it, and nothing is replaced either', async () => {
    const target = join(folders.loras, 'x-v1.safetensors');
    const draft = async (name: string) => {
      await writeFile(join(folders.loras, name), name);
      return join(folders.loras, name);
    };
    const placed = await Promise.all(
      ['.a', '.b', '.c'].map(async (name) => placeByMarker(await draft(name), target, name)),
    );
    expect(placed.filter(Boolean)).toHaveLength(1);
    const winner = ['.a', '.b', '.c'][placed.indexOf(true)] ?? '';
    expect(await readFile(target, 'utf8')).toBe(winner);
    await rm(`${target}.reserved`);
    expect(await placeByMarker(await draft('.d'), target, '.d')).toBe(false);
    expect(await readFile(target, 'utf8')).toBe(winner);
    // A crash came between the reservation and the rename.
    await writeFile(join(folders.loras, 'y-v1.safetensors.reserved'), '.e');
    expect(await placeByMarker(await draft('.e'), join(folders.loras, 'y-v1.safetensors'), '.e')).toBe(true);
  });
});

describe('W27: no stale or changed file is taken for the result', () => {
  it('another file than the chosen one is refused, and nothing appears', async () => {
    const wrong = await request('a');
    await expect(publishLora({ ...wrong, sha256: 'f'.repeat(64) }, options())).rejects.toMatchObject({
      code: 'LORA_CHANGED',
    });
    await writeFile(wrong.source, 'cut short');
    await expect(publishLora(wrong, options())).rejects.toMatchObject({ code: 'SAFETENSORS_INVALID' });
    expect(await readdir(folders.loras)).toEqual([]);
  });

  it('a published file that was taken away is published again under a new version', async () => {
    const first = await publish('a');
    await publish('b');
    await rm(first.path);
    expect(await publish('a')).toMatchObject({ version: 3 });
  });

  it('a folder that is not there is not made', async () => {
    const loras = join(folders.root, 'typo');
    await expect(publish('a', { loras })).rejects.toMatchObject({ code: 'LORAS_FOLDER_MISSING', retryable: false });
    await expect(stat(loras)).rejects.toThrow();
  });

  it('a folder that may not be written is named; a cancelled copy leaves nothing', async () => {
    await expect(publish('a', { loras: '/sys/kernel' })).rejects.toMatchObject({
      code: 'NO_PERMISSION',
      message: /\/sys\/kernel/,
    });
    const cancelled = AbortSignal.abort(new Error('stop'));
    await expect(publishLora(await request('a'), { ...options(), signal: cancelled })).rejects.toThrow('stop');
    expect(await readdir(folders.loras)).toEqual([]);
  });
});

describe('W9: simulated LoRAs say so', () => {
  it('are published only on demand, under a name that says it', async () => {
    const source = await lora('s', '[simulated] run');
    const simulated = { source, simulated: true, alias: true };
    await expect(publish('a', simulated)).rejects.toMatchObject({ code: 'SIMULATED_NOT_DELIVERED' });
    expect(await publish('a', { ...simulated, deliverSimulated: true })).toMatchObject({
      ...{ loraName: 'elara_lora-simulated-v1.safetensors', simulated: true },
      alias: 'elara_lora-simulated.safetensors',
    });
  });

  it('are never published as real ones', async () => {
    const source = await lora('s', '[simulated] run');
    await expect(publish('a', { source })).rejects.toMatchObject({ code: 'SIMULATED_NOT_DELIVERED' });
    expect(await readdir(folders.loras)).toEqual([]);
  });
});

describe('the alias', () => {
  const alias = () => join(folders.loras, 'elara_lora.safetensors');

  it('is always the newest version, and a copy', async () => {
    const first = await publish('a', { alias: true });
    expect(first).toMatchObject({ alias: 'elara_lora.safetensors', aliasRefused: null });
    expect(await sha256OfFile(alias())).toBe(first.sha256);
    const second = await publish('b', { alias: true });
    expect(await sha256OfFile(alias())).toBe(second.sha256);
    expect((await stat(alias())).ino).not.toBe((await stat(second.path)).ino);
    expect((await stat(alias())).mode & 0o777).toBe(0o644);
  });

  it("never replaces somebody else's file: the version is published, the alias refused with the reason", async () => {
    await writeFile(alias(), 'mine');
    const delivery = await publish('a', { alias: true });
    expect(delivery).toMatchObject({
      version: 1,
      alias: null,
      aliasRefused: expect.stringContaining('not put there') as string,
    });
    expect(await readFile(alias(), 'utf8')).toBe('mine');
    await rm(alias());
    // A run that goes on asks again.
    expect(await publish('a', { alias: true })).toMatchObject({ alias: 'elara_lora.safetensors', aliasRefused: null });
    expect(await sha256OfFile(alias())).toBe(delivery.sha256);
    await publish('b', { alias: true });
    await writeFile(alias(), 'changed by hand');
    expect(await publish('c', { alias: true })).toMatchObject({ alias: null });
    expect(await readFile(alias(), 'utf8')).toBe('changed by hand');
  });

  it('a crash between its record and its rename is made good', async () => {
    const first = await publish('a', { alias: true });
    const second = await publish('b', { alias: true });
    // As if the rename of the second had not happened.
    await writeFile(alias(), await readFile(first.path));
    await rm(join(folders.root, 'b.json'));
    await link(second.path, join(folders.loras, `.tower-b-${second.sha256.slice(0, 12)}.tmp`));
    expect(await publish('b', { alias: true })).toMatchObject({ version: 2, alias: 'elara_lora.safetensors' });
    expect(await sha256OfFile(alias())).toBe(second.sha256);
  });
});

describe('W25: the proof', () => {
  const path = (name: string) => join(folders.root, name);
  const compare = (without: string, withLora: string, minimumDeviation?: number) =>
    compareProof(path(without), path(withLora), checkThresholdsSchema.parse({ minimumDeviation }));

  it('says how much the images differ', async () => {
    const grey = (value: number) =>
      sharp({ create: { width: 10, height: 10, channels: 3, background: { r: value, g: value, b: value } } });
    await grey(100).toFile(path('a.png'));
    const changed = await grey(130).resize(5, 10).png().toBuffer();
    await grey(100)
      .composite([{ input: changed, left: 0, top: 0 }])
      .toFile(path('b.png'));
    expect(await compare('a.png', 'b.png', 0)).toEqual({
      meanAbsolute: 15,
      largest: 30,
      changedShare: 0.5,
    });
  });

  it('images that are the same prove that the LoRA does nothing, whatever their files look like', async () => {
    await picture(path('a.png'), 1);
    await sharp(path('a.png')).png({ compressionLevel: 1 }).withMetadata().toFile(path('b.png'));
    expect(await sha256OfFile(path('a.png'))).not.toBe(await sha256OfFile(path('b.png')));
    await expect(compare('a.png', 'b.png')).rejects.toMatchObject({ code: 'LORA_WITHOUT_EFFECT' });
  });

  it('a plain surface proves nothing, also when every pixel differs; the next step says whose fault it is', async () => {
    await picture(path('a.png'), 1);
    const { width, height } = await sharp(path('a.png')).metadata();
    await sharp({ create: { width, height, channels: 3, background: 'black' } }).toFile(path('black.png'));
    await expect(compare('a.png', 'black.png')).rejects.toMatchObject({
      ...{ code: 'PROOF_BLANK', retryable: false, message: expect.stringContaining('black.png') as string },
      next: expect.stringContaining('The LoRA destroys the picture') as string,
    });
    await expect(compare('black.png', 'a.png')).rejects.toMatchObject({
      ...{ code: 'PROOF_BLANK', next: expect.stringContaining('even without the LoRA') as string },
    });
  });

  it('images that cannot be compared are no proof', async () => {
    await picture(path('a.png'), 1);
    await picture(path('b.png'), 1, { width: 64, height: 72 });
    await writeFile(path('c.png'), 'x');
    for (const other of ['b.png', 'c.png', 'd.png']) {
      await expect(compare('a.png', other), other).rejects.toMatchObject({ code: 'PROOF_INVALID' });
    }
  });
});
