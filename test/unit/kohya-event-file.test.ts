import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { readEventFile } from '../../src/kohya/event-file.js';

/** The losses of four epochs as TensorBoard 2.21 wrote them for sd-scripts 0.10.1: its header and eight scalars. */
const events = Buffer.from(
  'SAAAAAAAAAD+kkidCQNBzA/WwNpBGg1icmFpbi5FdmVudDoyUi4KLHRlbnNvcmJvYXJkLnN1bW1hcnkud3JpdGVyLmV2ZW50X2ZpbGVfd3JpdGVyWgZXhDMAAA' +
    'AAAAAADKcgVgnCZtoR1sDaQRABKiYKJAodbG9zcy92YWxpZGF0aW9uL2Vwb2NoX2F2ZXJhZ2UVffiNPxXJVGkoAAAAAAAAAP9wFkoJyvjaEdbA2kEQASobChkK' +
    'Emxvc3MvZXBvY2hfYXZlcmFnZRXY4X8/PGSNezMAAAAAAAAADKcgVgn/AZMU1sDaQRACKiYKJAodbG9zcy92YWxpZGF0aW9uL2Vwb2NoX2F2ZXJhZ2UV4TyMPw' +
    'AppukoAAAAAAAAAP9wFkoJtYGTFNbA2kEQAiobChkKEmxvc3MvZXBvY2hfYXZlcmFnZRX+vYw/yt3GSDMAAAAAAAAADKcgVgnZG4EX1sDaQRADKiYKJAodbG9z' +
    'cy92YWxpZGF0aW9uL2Vwb2NoX2F2ZXJhZ2UVXT6LP/0qYesoAAAAAAAAAP9wFkoJx8uBF9bA2kEQAyobChkKEmxvc3MvZXBvY2hfYXZlcmFnZRWXo30/Tr+Nsj' +
    'MAAAAAAAAADKcgVgkkoLQZ1sDaQRAEKiYKJAodbG9zcy92YWxpZGF0aW9uL2Vwb2NoX2F2ZXJhZ2UVigyLP4Ke4yUoAAAAAAAAAP9wFkoJBi21GdbA2kEQBCob' +
    'ChkKEmxvc3MvZXBvY2hfYXZlcmFnZRX/bIU/+pLcdg==',
  'base64',
);

async function scalarsOf(bytes: Uint8Array) {
  const folder = await mkdtemp(join(tmpdir(), 'tower-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'events.out.tfevents.1');
  await writeFile(path, bytes);
  return await readEventFile(path);
}

it('reads losses with all their digits', async () => {
  const scalars = await scalarsOf(events);
  const held = scalars.filter(({ tag }) => tag === 'loss/validation/epoch_average');
  expect(held.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  expect(held[0]?.value).toBeCloseTo(1.1091457605, 9);
  expect(held[3]?.value).toBeCloseTo(1.0863201618, 9);
  const train = scalars.filter(({ tag }) => tag === 'loss/epoch_average');
  expect(train[2]?.value).toBeCloseTo(0.9907774329, 9);
  expect(new Date((held[0]?.wallTime ?? 0) * 1000).getUTCFullYear()).toBe(2026);
});

it('records that are damaged are passed over', async () => {
  // Field 1, of which a time is expected, with two bytes; then a length that leads out of the file.
  const record = Buffer.from([0x0a, 0x02, 1, 2]);
  const [head, claim] = [Buffer.alloc(12), Buffer.alloc(12)];
  head.writeBigUInt64LE(BigInt(record.length));
  claim.writeBigUInt64LE(2n ** 60n);
  expect(await scalarsOf(Buffer.concat([head, record, Buffer.alloc(4), claim]))).toEqual([]);
});

it('a file that was cut anywhere tells what is whole, and nothing else', async () => {
  const whole = await scalarsOf(events);
  for (let length = 0; length < events.length; length += 7) {
    const part = await scalarsOf(events.subarray(0, length));
    expect(part).toEqual(whole.slice(0, part.length));
  }
});
