import { open, type FileHandle } from 'node:fs/promises';

import { z } from 'zod';

import { TowerError } from '../errors.js';

/** Bytes per element of the types of the safetensors format. */
const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

/** As in the reference implementation. */
const maximumHeaderBytes = 100_000_000;
const chunkBytes = 1 << 20;

const offset = z.int().nonnegative();
const tensorSchema = z.object({
  dtype: z.string(),
  shape: z.array(offset),
  data_offsets: z.tuple([offset, offset]),
});
const headerSchema = z.object({ __metadata__: z.record(z.string(), z.string()).optional() }).catchall(tensorSchema);

export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte of the data, from the start of the file. */
  readonly start: number;
  /** One after the last byte. */
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their data. */
  readonly tensors: readonly SafetensorsTensor[];
  readonly fileBytes: number;
}

/** What a tensor's data says about the training that made it. */
export interface TensorContent {
  readonly allZero: boolean;
  /** `false` when an element is NaN or infinite; `true` for types that know neither. */
  readonly finite: boolean;
}

/**
 * Reads and checks the header of a safetensors file (https://github.com/huggingface/safetensors, "Format"): length, JSON, and
 * that the tensors fill the rest of the file exactly, without gaps or overlaps, as their types and shapes say.
 *
 * @throws TowerError `SAFETENSORS_INVALID` (not retryable) naming what is wrong.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const headerBytes = await readHeaderLength(file, path, size);
    const json = await readExactly(file, path, { start: 8, end: 8 + headerBytes });
    const parsed = parseHeader(json.toString('utf8'), path);
    const { __metadata__: metadata, ...entries } = parsed;
    const tensors = Object.entries(entries).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => ({
        name,
        dtype,
        shape,
        start: 8 + headerBytes + from,
        end: 8 + headerBytes + to,
      }),
    );
    tensors.sort((a, b) => a.start - b.start || a.end - b.end);
    checkLayout(tensors, { path, dataStart: 8 + headerBytes, fileBytes: size });
    return { metadata: metadata ?? {}, tensors, fileBytes: size };
  } finally {
    await file.close();
  }
}

/**
 * Reads the data of some tensors in constant memory.
 *
 * @throws TowerError `SAFETENSORS_INVALID` when the file ends early or a type is unknown.
 */
export async function readTensorContents(
  path: string,
  tensors: readonly SafetensorsTensor[],
  signal?: AbortSignal,
): Promise<Map<string, TensorContent>> {
  const contents = new Map<string, TensorContent>();
  const file = await open(path, 'r');
  try {
    for (const tensor of tensors) {
      let allZero = true;
      let finite = true;
      for (let start = tensor.start; start < tensor.end; start += chunkBytes) {
        signal?.throwIfAborted();
        const chunk = await readExactly(file, path, { start, end: Math.min(start + chunkBytes, tensor.end) });
        allZero &&= chunk.every((byte) => byte === 0);
        finite &&= isFiniteChunk(chunk, tensor.dtype);
      }
      contents.set(tensor.name, { allZero, finite });
    }
  } finally {
    await file.close();
  }
  return contents;
}

/** Infinite and NaN have all exponent bits set; a chunk always holds whole elements, little-endian. */
function isFiniteChunk(chunk: Buffer, dtype: string): boolean {
  const exponents: Readonly<Record<string, number>> = { F16: 0x7c00, BF16: 0x7f80, F32: 0x7f80, F64: 0x7ff0 };
  const exponent = exponents[dtype];
  if (exponent === undefined) return true;
  const width = elementBytes[dtype] ?? 1;
  for (let high = width - 2; high < chunk.length; high += width) {
    if ((chunk.readUInt16LE(high) & exponent) === exponent) return false;
  }
  return true;
}

async function readHeaderLength(file: FileHandle, path: string, size: number): Promise<number> {
  if (size < 8) throw invalid(path, `expected at least 8 bytes, found ${size}`);
  const length = (await readExactly(file, path, { start: 0, end: 8 })).readBigUInt64LE();
  if (length > BigInt(Math.min(size - 8, maximumHeaderBytes))) {
    throw invalid(path, `its header claims ${length.toString()} bytes, the file has ${size}`);
  }
  return Number(length);
}

function parseHeader(text: string, path: string): z.output<typeof headerSchema> {
  try {
    return headerSchema.parse(JSON.parse(text));
  } catch (error) {
    throw invalid(path, 'its header is not the JSON object of the format', error);
  }
}

function checkLayout(
  tensors: readonly SafetensorsTensor[],
  file: { path: string; dataStart: number; fileBytes: number },
): void {
  let expectedStart = file.dataStart;
  for (const { name, dtype, shape, start, end } of tensors) {
    const width = elementBytes[dtype];
    if (width === undefined) throw invalid(file.path, `tensor ${name} has the unknown type ${dtype}`);
    const bytes = shape.reduce((product, dimension) => product * dimension, width);
    if (start !== expectedStart || end - start !== bytes) {
      throw invalid(
        file.path,
        `tensor ${name} should take bytes ${expectedStart}–${expectedStart + bytes}, its header says ${start}–${end}`,
      );
    }
    expectedStart = end;
  }
  if (expectedStart !== file.fileBytes) {
    throw invalid(file.path, `its tensors end at byte ${expectedStart}, the file has ${file.fileBytes}`);
  }
}

async function readExactly(file: FileHandle, path: string, range: { start: number; end: number }): Promise<Buffer> {
  const buffer = Buffer.alloc(range.end - range.start);
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, range.start + filled);
    if (bytesRead === 0) throw invalid(path, `it ends at byte ${range.start + filled}, expected ${range.end}`);
    filled += bytesRead;
  }
  return buffer;
}

function invalid(path: string, reason: string, cause?: unknown): TowerError {
  return new TowerError('SAFETENSORS_INVALID', `${path} is no complete safetensors file: ${reason}`, {
    cause,
    next: 'The file is damaged or was cut short; train or download it again.',
  });
}
