import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import axios from 'axios';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { startComfyuiServer } from '../../src/sims/comfyui/server.js';
import { ComfyuiWorld, textToImage, writeLora, type HistoryEntry } from '../support/simulated-comfyui.js';

let world: ComfyuiWorld;
beforeEach(async () => {
  world = await ComfyuiWorld.create();
});
afterEach(() => world.close());

function filesOf(entry: HistoryEntry): string[] {
  return Object.values(entry.outputs).flatMap(({ images }) => images.map((image) => image.filename));
}

function eventOf(entry: HistoryEntry, event: string): Record<string, unknown> | undefined {
  return entry.status.messages.find(([name]) => name === event)?.[1];
}

/** Of the text chunks, by another reader than wrote them. */
async function commentsOf(png: Buffer): Promise<Record<string, string>> {
  const { comments = [] } = await sharp(png).metadata();
  return Object.fromEntries(comments.map(({ keyword, text }) => [keyword, text]));
}

async function pixelsOf(png: Buffer): Promise<Buffer> {
  return sharp(png).raw().toBuffer();
}

/** 64 bits: whether each of 9 × 8 grey cells is darker than its right neighbour. */
async function differenceHash(png: Buffer): Promise<boolean[]> {
  const grey = await sharp(png).greyscale().resize(9, 8, { fit: 'fill' }).raw().toBuffer();
  return Array.from({ length: 64 }, (_, index) => {
    const at = Math.floor(index / 8) * 9 + (index % 8);
    return (grey[at] ?? 0) < (grey[at + 1] ?? 0);
  });
}

describe('pictures', () => {
  it('are real PNGs of the right size with the graph, own data and the word simulated in them', async () => {
    const info = { workflow: { id: 'flow' }, tower: { run: 'character_ä_v1' } };
    const graph = textToImage({ width: 100, height: 72 });
    const png = await world.image(await world.run(graph, { extra_data: { extra_pnginfo: info } }));
    // A latent cell is eight pixels; a rest is cut.
    expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 96, height: 72, channels: 3 });
    const { simulated, prompt = '', workflow = '', tower = '' } = await commentsOf(png);
    expect(simulated).toBe('true');
    expect(JSON.parse(prompt)).toEqual(graph);
    expect([JSON.parse(workflow), JSON.parse(tower)]).toEqual([info.workflow, info.tower]);
    world.server.change({ metadata: false });
    const bare = await world.image(await world.run(textToImage({ seed: 2 })));
    expect(await commentsOf(bare)).toEqual({ simulated: 'true' });
  });

  it('follow from seed and prompt: equal ones have equal pixels, others none that a perceptual hash takes for the same', async () => {
    const images: Buffer[] = [];
    for (let seed = 1; seed <= 20; seed++) {
      for (const prompt of ['a knight', 'a knight, smiling']) {
        const graph = textToImage({ seed, prompt, prefix: `p/${seed}`, steps: 1, width: 96, height: 96 });
        images.push(await world.image(await world.run(graph)));
      }
    }
    const hashes = await Promise.all(images.map(differenceHash));
    const distances = hashes.flatMap((hash, a) =>
      hashes.slice(a + 1).map((other) => hash.filter((bit, index) => bit !== other[index]).length),
    );
    expect(Math.min(...distances)).toBeGreaterThan(10);
    const again = textToImage({ seed: 1, prefix: 'again', steps: 1, width: 96, height: 96 });
    const repeated = await world.image(await world.run(again));
    expect((await pixelsOf(repeated)).equals(await pixelsOf(images[0] ?? Buffer.alloc(0)))).toBe(true);
  });
});

describe('a LoRA', () => {
  let loras: string;
  beforeEach(() => {
    loras = join(world.server.modelsDirectory, 'loras');
  });

  const withLora = (name: string, model: number, more = {}) => textToImage({ lora: { name, model }, ...more });

  async function pixels(graph: object): Promise<string> {
    return (await pixelsOf(await world.image(await world.run(graph)))).toString('base64');
  }

  it('is listed when it is renamed into the folder, changes the picture, and does nothing at strength 0', async () => {
    const list = async () => (await world.get('/models/loras')).data as unknown;
    expect(await list()).toEqual([]);
    await writeLora(join(loras, '.part.tmp'), 3, { ss_output_name: 'elara', ss_tag: 'x' });
    expect(await list()).toEqual([]);
    await rename(join(loras, '.part.tmp'), join(loras, 'elara-v1.safetensors'));
    expect(await list()).toEqual(['elara-v1.safetensors']);
    expect((await world.get('/view_metadata/loras?filename=elara-v1.safetensors')).data).toEqual({
      ss_output_name: 'elara',
      ss_tag: 'x',
    });
    await writeLora(join(loras, 'zero.safetensors'), 0);
    const plain = await pixels(textToImage());
    expect(await pixels(withLora('elara-v1.safetensors', 0))).toBe(plain);
    expect(await pixels(withLora('zero.safetensors', 1))).toBe(plain);
    const [half, whole] = [
      await pixels(withLora('elara-v1.safetensors', 0.5)),
      await pixels(withLora('elara-v1.safetensors', 1)),
    ];
    expect(new Set([plain, half, whole]).size).toBe(3);
  });

  it('stays the old one under the same name until the memory is freed', async () => {
    await writeLora(join(loras, 'same.safetensors'), 3);
    await writeLora(join(loras, 'other.safetensors'), 5);
    const [old, fresh] = [
      await pixels(withLora('same.safetensors', 1)),
      await pixels(withLora('other.safetensors', 1)),
    ];
    await pixels(withLora('same.safetensors', 1));
    await writeLora(join(loras, 'next'), 5);
    await rename(join(loras, 'next'), join(loras, 'same.safetensors'));
    expect(await pixels(withLora('same.safetensors', 1, { prefix: 'b' }))).toBe(old);
    await world.post('/free', { free_memory: true });
    expect(await pixels(withLora('same.safetensors', 1, { prefix: 'c' }))).toBe(fresh);
  });

  it('that is broken fails when it runs; a missing one is refused', async () => {
    await writeFile(join(loras, 'broken.safetensors'), 'nothing');
    const entry = await world.run(withLora('broken.safetensors', 1));
    expect(eventOf(entry, 'execution_error')).toMatchObject({
      node_type: 'LoraLoader',
      exception_type: 'safetensors_rust.SafetensorError',
    });
    expect((await world.get('/view_metadata/loras?filename=broken.safetensors')).status).toBe(500);
    expect((await world.post('/prompt', { prompt: withLora('missing.safetensors', 1) })).status).toBe(400);
  });
});

describe('the cache', () => {
  it('answers an equal graph with the old file names and writes nothing', async () => {
    const first = await world.run(textToImage());
    const again = await world.run(textToImage(), { prompt_id: 'again' });
    expect(filesOf(again)).toEqual(filesOf(first));
    expect(eventOf(again, 'execution_cached')?.['nodes']).toHaveLength(7);
    expect(await readdir(join(world.server.outputDirectory, 'test'))).toHaveLength(1);
    await rm(join(world.server.outputDirectory, 'test'), { recursive: true });
    const pointless = await world.run(textToImage(), { prompt_id: 'pointless' });
    await expect(world.image(pointless)).rejects.toThrow('404');
  });

  it('runs SaveImage alone for another prefix, everything after free_memory, and nothing is kept without a cache', async () => {
    await world.run(textToImage());
    const renamed = await world.run(textToImage({ prefix: 'other' }));
    expect(eventOf(renamed, 'execution_cached')?.['nodes']).toEqual(['1', '2', '3', '4', '5', '6']);
    await world.post('/free', { free_memory: true });
    const freed = await world.run(textToImage({ prefix: 'other' }));
    expect(eventOf(freed, 'execution_cached')?.['nodes']).toEqual([]);
    expect(filesOf(freed)).toEqual(['other_00002_.png']);
    world.server.change({ cache: false });
    expect(filesOf(await world.run(textToImage({ prefix: 'other' })))).toEqual(['other_00003_.png']);
    const { renders } = world.server.statistics();
    expect(renders.map(({ cached, outcome }) => [cached, outcome])).toEqual(Array(4).fill([false, 'success']));
  });
});

describe('output names', () => {
  it('count up from the highest number, which a deleted file frees', async () => {
    const save = async (seed: number) => filesOf(await world.run(textToImage({ seed, prefix: 'a/%width%x_b' })))[0];
    expect([await save(1), await save(2)]).toEqual(['64x_b_00001_.png', '64x_b_00002_.png']);
    await rm(join(world.server.outputDirectory, 'a', '64x_b_00002_.png'));
    expect(await save(3)).toBe('64x_b_00002_.png');
    await writeFile(join(world.server.outputDirectory, 'a', '64x_b_00041_.png'), '');
    expect(await save(4)).toBe('64x_b_00042_.png');
  });

  it('that leave the folder fail when they run', async () => {
    const entry = await world.run(textToImage({ prefix: '../../outside' }));
    expect(eventOf(entry, 'execution_error')).toMatchObject({ node_type: 'SaveImage' });
    expect(existsSync(join(world.directory, '..', 'outside_00001_.png'))).toBe(false);
  });
});

describe('files over HTTP', () => {
  it('tells bad names, unknown types and other folders apart, and sends a range', async () => {
    await world.run(textToImage());
    const status = async (query: string) => (await world.get(`/view?${query}`)).status;
    const file = 'filename=image_00001_.png&subfolder=test';
    expect(await status(file)).toBe(200);
    expect(await status(`${file}&type=temp`)).toBe(404);
    expect(await status(`${file}&type=other`)).toBe(400);
    expect(await status('filename=../x.png')).toBe(400);
    expect(await status('filename=x.png&subfolder=../..')).toBe(403);
    expect(await status('')).toBe(404);
    const url = `${world.server.address}/view?${file}`;
    const part = await axios.get<ArrayBuffer>(url, { headers: { range: 'bytes=1-3' }, responseType: 'arraybuffer' });
    expect([part.status, Buffer.from(part.data).toString()]).toEqual([206, 'PNG']);
    const rgb = await axios.get<ArrayBuffer>(`${url}&channel=rgb`, { responseType: 'arraybuffer' });
    expect(await commentsOf(Buffer.from(rgb.data))).toEqual({});
    const alpha = await axios.get<ArrayBuffer>(`${url}&channel=a`, { responseType: 'arraybuffer' });
    expect(new Set(await pixelsOf(Buffer.from(alpha.data)))).toEqual(new Set([255]));
    const preview = await axios.get<ArrayBuffer>(`${url}&preview=webp;50`, { responseType: 'arraybuffer' });
    expect((await sharp(Buffer.from(preview.data)).metadata()).format).toBe('webp');
  });

  it('takes an upload: the same content once, another one under another name', async () => {
    const upload = async (content: Uint8Array, fields: Record<string, string> = {}) => {
      const form = new FormData();
      form.append('image', new Blob([content]), 'face.png');
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      return (await world.post('/upload/image', form)).data as unknown;
    };
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    expect(await upload(png)).toEqual({ name: 'face.png', subfolder: '', type: 'input' });
    expect(await upload(png)).toMatchObject({ name: 'face.png' });
    expect(await upload(Buffer.from('other'))).toMatchObject({ name: 'face (1).png' });
    expect(await upload(Buffer.from('third'), { overwrite: 'true' })).toMatchObject({ name: 'face.png' });
    const graph = (name: string) => ({
      '1': { class_type: 'LoadImage', inputs: { image: name } },
      '2': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
    });
    expect(eventOf(await world.run(graph('face.png')), 'execution_error')).toMatchObject({
      exception_type: 'PIL.UnidentifiedImageError',
    });
    expect((await world.post('/prompt', { prompt: graph('none.png') })).data).toMatchObject({
      node_errors: { '1': { errors: [{ type: 'custom_validation_failed' }] } },
    });
    await upload(png, { overwrite: '1' });
    const { outputs } = await world.run(graph('face.png'));
    expect(outputs['2']?.images).toMatchObject([
      { type: 'temp', filename: expect.stringMatching(/^ComfyUI_temp_/) as string },
    ]);
  });
});

describe('model folders', () => {
  it('are those that were given, sub-folders and all, and are read again when one of them changes', async () => {
    const models = join(world.directory, 'given');
    await mkdir(join(models, 'checkpoints', 'sd15'), { recursive: true });
    await writeFile(join(models, 'checkpoints', 'sd15', 'b.ckpt'), '');
    await writeFile(join(models, 'checkpoints', 'a.safetensors'), '');
    await writeFile(join(models, 'checkpoints', 'put_checkpoints_here'), '');
    const server = await startComfyuiServer({ directory: join(world.directory, 'second'), models });
    const list = async (folder: string) =>
      (await axios.get<string[]>(`${server.address}/models/${folder}`, { validateStatus: null })).data;
    expect(await list('checkpoints')).toEqual(['a.safetensors', 'sd15/b.ckpt']);
    expect(await list('loras')).toEqual([]);
    await mkdir(join(models, 'loras'));
    await writeLora(join(models, 'loras', 'x.safetensors'), 1);
    expect(await list('loras')).toEqual(['x.safetensors']);
    await rm(join(models, 'checkpoints', 'sd15', 'b.ckpt'));
    // A folder whose time does not change within the file system's tick would be missed, as by the real server.
    await utimes(join(models, 'checkpoints', 'sd15'), new Date(), new Date(Date.now() + 5_000));
    expect(await list('checkpoints')).toEqual(['a.safetensors']);
    await server.close();
  });
});
