import { readFile } from 'node:fs/promises';

/** One scalar of a TensorBoard log. */
export interface LoggedScalar {
  readonly tag: string;
  /** Of the tag's own axis: optimiser steps or epochs. */
  readonly step: number;
  readonly value: number;
  /** Seconds since 1970. */
  readonly wallTime: number;
}

/** Length (8 bytes) and its checksum (4) before a record, the checksum of the data (4) after it. */
const headBytes = 12;
const tailBytes = 4;

/**
 * Reads the scalars of a TensorBoard event file: TFRecords, each a protobuf `Event` with a `Summary` of values. A record that is cut,
 * as a kill leaves it, ends the file. Other kinds of values are passed over.
 */
export async function readEventFile(path: string): Promise<LoggedScalar[]> {
  const bytes = await readFile(path);
  const scalars: LoggedScalar[] = [];
  for (let offset = 0; offset + headBytes <= bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(offset));
    const end = offset + headBytes + length;
    if (end + tailBytes > bytes.length) break;
    scalars.push(...scalarsOf(bytes.subarray(offset + headBytes, end)));
    offset = end + tailBytes;
  }
  return scalars;
}

/** Event: 1 wall time (double), 2 step (int64), 5 summary; Summary: 1 value; Value: 1 tag, 2 simple value (float). */
function scalarsOf(event: Buffer): LoggedScalar[] {
  const fields = [...fieldsOf(event)];
  const time = fields.find(({ number }) => number === 1)?.bytes;
  const wallTime = time?.length === 8 ? time.readDoubleLE() : 0;
  const step = fields.find(({ number }) => number === 2)?.varint ?? 0;
  const scalars: LoggedScalar[] = [];
  for (const summary of fields) {
    if (summary.number !== 5 || summary.bytes === undefined) continue;
    for (const { number, bytes } of fieldsOf(summary.bytes)) {
      if (number !== 1 || bytes === undefined) continue;
      const value = [...fieldsOf(bytes)];
      const tag = value.find((field) => field.number === 1)?.bytes?.toString('utf8');
      const simple = value.find((field) => field.number === 2)?.bytes;
      if (tag !== undefined && simple?.length === 4) {
        scalars.push({ tag, step, value: simple.readFloatLE(), wallTime });
      }
    }
  }
  return scalars;
}

interface Field {
  readonly number: number;
  /** Of wire type 0. */
  readonly varint?: number;
  /** Of the others. */
  readonly bytes?: Buffer;
}

/** The fields of a protobuf message, in order; a message that breaks off ends there. */
function* fieldsOf(message: Buffer): Generator<Field> {
  let offset = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[offset++];
      if (byte === undefined) return Number.NaN;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (offset < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    const wireType = key % 8;
    if (wireType === 0) {
      yield { number, varint: varint() };
      continue;
    }
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : wireType === 2 ? varint() : Number.NaN;
    if (!(offset + length <= message.length)) return;
    yield { number, bytes: message.subarray(offset, offset + length) };
    offset += length;
  }
}
