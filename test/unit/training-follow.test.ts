import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { createOutputParser } from '../../src/kohya/output-parser.js';
import { LaunchFollower } from '../../src/training/follow.js';
import { LogReader } from '../../src/training/log-reader.js';
import { runDirectory, type LaunchDirectory } from '../../src/training/run-directory.js';

const kohya = { simulated: false, outputName: 'elara_lora', samples: false };

let home: string;
let path: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  path = join(home, 'stdout.log');
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

async function linesOf(reader: LogReader): Promise<string[]> {
  const lines = [];
  for await (const line of reader.newLines()) lines.push(line);
  return lines;
}

test('a file that does not exist yet has no lines; later only what is new is read', async () => {
  const reader = new LogReader(path);
  expect(await linesOf(reader)).toEqual([]);
  await writeFile(path, 'one\ntwo\nthr');
  expect(await linesOf(reader)).toEqual(['one', 'two']);
  await appendFile(path, 'ee\n\nfour');
  expect(await linesOf(reader)).toEqual(['three']);
  expect(await linesOf(reader)).toEqual([]);
  expect(reader.takePartialLine()).toBe('four');
  expect(reader.takePartialLine()).toBeUndefined();
  await reader.close();
});

test('progress bars end their lines with CR, and a character may arrive in two halves', async () => {
  const reader = new LogReader(path);
  const bytes = Buffer.from(' 1%|█\r 2%|█▊\r\nEpöche\r\n');
  const collected = [];
  for (const byte of bytes) {
    await appendFile(path, Buffer.from([byte]));
    collected.push(...(await linesOf(reader)));
  }
  expect(collected).toEqual([' 1%|█', ' 2%|█▊', 'Epöche']);
  expect(reader.bytes).toBe(bytes.length);
  await reader.close();
});

test('a line without an end does not fill the memory', async () => {
  await writeFile(path, 'x'.repeat(3_000_000));
  const reader = new LogReader(path);
  const lines = await linesOf(reader);
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.join('').length + (reader.takePartialLine()?.length ?? 0)).toBe(3_000_000);
  await reader.close();
});

test('output of bars without any line end is read within seconds', async () => {
  const files: LaunchDirectory = { ...runDirectory(home).launch(1), stdout: path, stderr: join(home, 'stderr.log') };
  await writeFile(files.stderr, '9%|'.repeat(3_400_000));
  const follower = new LaunchFollower(files, { createParser: () => createOutputParser(kohya) });
  for await (const event of follower.newEvents({ ended: true })) throw new Error(`found ${event.event}`);
  expect(follower.bytes).toBe(10_200_000);
  expect(follower.tail.length).toBeLessThanOrEqual(8 * 1024);
  await follower.close();
});

test('200 000 lines are followed within seconds, with a short tail', async () => {
  const files: LaunchDirectory = { ...runDirectory(home).launch(1), stdout: path, stderr: join(home, 'stderr.log') };
  await writeFile(files.stdout, Array.from({ length: 200_000 }, (_, step) => `step ${step + 1}\n`).join(''));
  const bar = `steps:  50%|█████     | 5/10 [00:01<00:01, 5.00it/s]`;
  await writeFile(files.stderr, `warning\n${`${bar}\r`.repeat(500)}${bar}\u001b[AKeyError: 'loss'\n\r${bar}\u001b[A`);
  const follower = new LaunchFollower(files, {
    createParser: () => (line, stream) =>
      stream === 'stdout'
        ? [{ event: 'stopped', time: '2026-01-01T00:00:00Z', step: Number(line.slice(5)), path: '' }]
        : [],
  });
  let last = 0;
  for await (const event of follower.newEvents()) if ('step' in event) last = event.step;
  expect(last).toBe(200_000);
  expect(follower.tail.length).toBeLessThanOrEqual(8 * 1024);
  expect(follower.tail).toMatch(/step 200000\nwarning\n\S.*KeyError: 'loss'\n$/);
  await follower.close();
});
