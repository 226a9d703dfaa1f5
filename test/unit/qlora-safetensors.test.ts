import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { readSafetensorsHeader, readTensorContents } from '../../src/training/safetensors.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function file(header: unknown, data: Buffer, headerLength?: bigint): Promise<string> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(json.length));
  const path = join(folder, 'weights.safetensors');
  await writeFile(path, Buffer.concat([length, json, data]));
  return path;
}

function floats(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

const pair = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

describe('header', () => {
  test('gives tensors in the order of their data, and the metadata', async () => {
    const path = await file(
      {
        __metadata__: { format: 'pt' },
        second: { dtype: 'BF16', shape: [1, 2], data_offsets: [8, 12] },
        first: pair,
        empty: { dtype: 'F32', shape: [0, 4], data_offsets: [0, 0] },
      },
      Buffer.alloc(12),
    );
    const header = await readSafetensorsHeader(path);
    expect(header.metadata).toEqual({ format: 'pt' });
    expect(header.tensors.map(({ name }) => name)).toEqual(['empty', 'first', 'second']);
    expect(header.tensors[2]).toMatchObject({ shape: [1, 2], end: header.fileBytes });
  });

  test.each([
    ['cut data', { a: pair }, Buffer.alloc(7), undefined],
    ['data beyond the last tensor', { a: pair }, Buffer.alloc(9), undefined],
    ['a gap', { a: pair, b: { ...pair, data_offsets: [12, 20] } }, Buffer.alloc(20), undefined],
    ['an overlap', { a: pair, b: { ...pair, data_offsets: [4, 12] } }, Buffer.alloc(12), undefined],
    ['a shape that is not its bytes', { a: { ...pair, shape: [3] } }, Buffer.alloc(8), undefined],
    ['an unknown type', { a: { ...pair, dtype: 'Q4' } }, Buffer.alloc(8), undefined],
    ['a header beyond the file', { a: pair }, Buffer.alloc(8), 2n ** 63n],
    ['a header that is no JSON', '{"a":', Buffer.alloc(8), undefined],
    ['negative offsets', { a: { ...pair, data_offsets: [-8, 0] } }, Buffer.alloc(0), undefined],
  ])('refuses %s', async (_, header, data, headerLength) => {
    const path = await file(header, data, headerLength);
    await expect(readSafetensorsHeader(path)).rejects.toMatchObject({ code: 'SAFETENSORS_INVALID', retryable: false });
  });

  test('refuses a file of a few bytes', async () => {
    const path = join(folder, 'short');
    await writeFile(path, 'abc');
    await expect(readSafetensorsHeader(path)).rejects.toThrow('expected at least 8 bytes, found 3');
  });
});

describe('contents', () => {
  async function contentsOf(dtype: string, data: Buffer): Promise<unknown> {
    const width = dtype === 'F32' ? 4 : 2;
    const shape = [data.length / width];
    const path = await file({ a: { dtype, shape, data_offsets: [0, data.length] } }, data);
    const { tensors } = await readSafetensorsHeader(path);
    return (await readTensorContents(path, tensors)).get('a');
  }

  test('tells zero from trained, and finite from broken', async () => {
    expect(await contentsOf('F32', floats(0, 0))).toEqual({ allZero: true, finite: true });
    expect(await contentsOf('F32', floats(0, -3e38))).toEqual({ allZero: false, finite: true });
    expect(await contentsOf('F32', floats(Number.NaN, 0))).toEqual({ allZero: false, finite: false });
    expect(await contentsOf('F32', floats(0, -Infinity))).toEqual({ allZero: false, finite: false });
    // 1.5, infinity and the largest finite number of each half type, little-endian.
    expect(await contentsOf('F16', Buffer.from([0x00, 0x3e, 0xff, 0x7b]))).toEqual({ allZero: false, finite: true });
    expect(await contentsOf('F16', Buffer.from([0x00, 0x3e, 0x00, 0xfc]))).toEqual({ allZero: false, finite: false });
    expect(await contentsOf('BF16', Buffer.from([0xc0, 0x3f, 0x7f, 0x7f]))).toEqual({ allZero: false, finite: true });
    expect(await contentsOf('BF16', Buffer.from([0xc0, 0x3f, 0x80, 0x7f]))).toEqual({ allZero: false, finite: false });
  });

  test('looks at every byte of a tensor of several chunks', async () => {
    const data = Buffer.alloc(3 << 20);
    data.writeFloatLE(1e-30, data.length - 4);
    expect(await contentsOf('F32', data)).toEqual({ allZero: false, finite: true });
    data.writeFloatLE(Number.NaN, (2 << 20) + 4);
    expect(await contentsOf('F32', data)).toEqual({ allZero: false, finite: false });
  });
});
