import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { parseRow } from '../../src/signz-mind/ingest/batch-rows.js';
import { RowWriter } from '../../src/signz-mind/ledger/import-rows.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import {
  buildTrainingSet,
  NoTrainingDataError,
  type TrainingSet,
} from '../../src/signz-mind/training-set/build-training-set.js';
import { trainingFingerprint } from '../../src/signz-mind/training-set/fingerprint.js';
import { heldOutFiles } from '../../src/signz-mind/training-set/held-out.js';
import type { Sample, TrainingSetOptions } from '../../src/signz-mind/training-set/options.js';
import { splitSource } from '../../src/signz-mind/training-set/split-source.js';
import { feedback, snippet } from '../support/signz-mind.js';

let directory: string;
let ledger: Ledger;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-'));
  ledger = Ledger.open(join(directory, 'ledger.db'));
});
afterEach(async () => {
  ledger.close();
  await rm(directory, { recursive: true, force: true });
});

/** Puts lines into the ledger as one imported batch. */
async function given(lines: readonly string[], name = 'batch'): Promise<number> {
  const source = { key: '1/a', userId: '1', clientId: 'a' };
  await ledger.batches.recordListing(
    [...ledger.batches.list().map((batch) => ({ name: batch.name, source })), { name, source }],
    'c',
  );
  const id = ledger.batches.get(name)?.id ?? 0;
  await ledger.write((database) => {
    const writer = new RowWriter(database, { id, source: source.key });
    for (const [index, line] of lines.entries()) {
      const { row } = parseRow(line);
      if (row === undefined) throw new Error(`no row: ${line}`);
      writer.store(index + 1, row);
    }
    database.run(
      "UPDATE batches SET state = 'imported', new_rows = ?, updated_rows = ? WHERE id = ?",
      ...[writer.counts.new, writer.counts.updated, id],
    );
  });
  return id;
}

async function build(
  changes: Partial<TrainingSetOptions> = {},
  signal = new AbortController().signal,
): Promise<TrainingSet> {
  const target = {
    ...{ ledger, directory: join(directory, 'dataset'), format: 'editor' as const, heldOutShare: 0 },
    ...{ snippets: true, snippetQualityLabel: 'gut (Training)', feedback: true },
    positiveFeedbackTypes: ['suggestion_used', 'correction_applied', 'correction_good'],
    ...changes,
  };
  return buildTrainingSet(target, { signal });
}

async function samples(path: string): Promise<Sample[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Sample);
}

const files = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    snippet({ uuid: `u${index}`, path: `/p/${index}.py`, content: `value_${index} = ${index}\n` }),
  );

describe('original', () => {
  it('gives the contract’s worked example', async () => {
    await given([
      snippet({ content: 'import os\n\ndef f(x):\n    return x\n\n\n\nprint(f(1))' }),
      feedback({ source_code_context: 'def g(', ai_generated_output: 'y): pass' }),
    ]);
    const set = await build({ format: 'original' });
    expect(await samples(set.trainPath)).toEqual([
      { completion: 'import os' },
      { completion: 'def f(x):\n    return x' },
      { completion: 'print(f(1))' },
      { completion: 'def g(y): pass' },
    ]);
  });

  it('keeps the original’s order and repeats, and does not split at \\r\\n or at blank lines with spaces', async () => {
    await given([
      snippet({ uuid: 'z', path: '/z', content: 'first\n \nstill first' }),
      snippet({ uuid: 'a', path: '/a', content: 'second\r\n\r\nstill second' }),
      snippet({ uuid: 'b', path: '/b', content: 'same' }),
      snippet({ uuid: 'c', path: '/c', content: 'same' }),
      feedback({ uuid: '1', timestamp_created_db: '2025-07-01 12:00:00', ai_generated_output: ' late' }),
      feedback({ uuid: '2', timestamp_created_db: '2025-07-01 11:00:00', ai_generated_output: ' early' }),
    ]);
    const { completion: early } = { completion: 'def area(r):\n    return ma early' };
    expect((await samples((await build({ format: 'original' })).trainPath)).map((sample) => sample.completion)).toEqual(
      [
        ...['first\n \nstill first', 'second\r\n\r\nstill second', 'same', 'same'],
        ...[early, early.replace('early', 'late')],
      ],
    );
  });
});

describe('editor', () => {
  it('keeps a file whole, makes an accepted suggestion a masked prompt and takes a correction’s result', async () => {
    await given([
      snippet(),
      feedback(),
      feedback({
        uuid: 'c',
        user_feedback_type: 'correction_applied',
        source_code_context: 'retrun 1',
        ai_generated_output: 'return 1',
      }),
      feedback({ uuid: 'bad', user_feedback_type: 'correction_bad', ai_generated_output: 'rejected' }),
      snippet({ uuid: 'n', path: '/n', quality_label: 'neutral', content: 'unlabelled' }),
    ]);
    const found = await samples((await build()).trainPath);
    expect(found).toEqual([
      { completion: 'import math\n\ndef area(r):\n    return math.pi * r * r' },
      // The typed `ma` is in the completion already.
      { prompt: 'def area(r):\n    return ', completion: 'math.pi * r * r' },
      { completion: 'return 1' },
    ]);
  });

  it('keeps the end of a long prompt and the whole accepted text', async () => {
    await given([
      feedback({ source_code_context: `${'x = 1\n'.repeat(900)}result = `, ai_generated_output: 'compute()' }),
    ]);
    const [sample] = await samples((await build({ maxSampleCharacters: 100 })).trainPath);
    expect(sample?.completion).toBe('compute()');
    expect(sample?.prompt).toHaveLength(91);
    expect(sample?.prompt?.endsWith('x = 1\nresult = ')).toBe(true);
  });

  it('removes repeated samples, and an empty list of feedback types means all', async () => {
    await given([
      snippet({ uuid: 'a', path: '/a', content: 'same' }),
      snippet({ uuid: 'b', path: '/b', content: 'same\n' }),
      feedback({ user_feedback_type: 'correction_bad', ai_generated_output: 'rejected' }),
    ]);
    expect(await samples((await build()).trainPath)).toEqual([{ completion: 'same' }]);
    expect(await samples((await build({ positiveFeedbackTypes: [] })).trainPath)).toHaveLength(2);
  });

  it('gives the same bytes whatever order the batches came in', async () => {
    const lines = [...files(20), feedback()];
    await given(lines);
    const first = await build({ heldOutShare: 0.2 });
    ledger.close();
    await rm(join(directory, 'ledger.db'));
    ledger = Ledger.open(join(directory, 'ledger.db'));
    await given(lines.slice(11).reverse(), 'later');
    await given(lines.slice(0, 11), 'earlier');
    const second = await build({ heldOutShare: 0.2 });
    expect(second.sha256).toBe(first.sha256);
    expect(await readdir(join(directory, 'dataset'))).toEqual(['heldout.jsonl', 'train.jsonl']);
  });
});

describe('held-out samples', () => {
  it.each(['editor', 'original'] as const)('%s: no file is on both sides', async (format) => {
    const twoRowsOfAFile = Array.from({ length: 40 }, (_, index) =>
      feedback({ uuid: `f${index}`, original_file_path: `/p/${index}.py`, ai_generated_output: `mark_${index}` }),
    );
    await given([...files(40), ...twoRowsOfAFile]);
    const set = await build({ format, heldOutShare: 0.25 });
    const [train, heldOut] = [await samples(set.trainPath), await samples(set.heldOutPath)];
    expect(heldOut.length).toBeGreaterThan(4);
    const numbers = (side: Sample[]) =>
      new Set(side.map(({ completion }) => /(?:mark_|value_)(\d+)/.exec(completion)?.[1]));
    const trained = numbers(train);
    expect([...numbers(heldOut)].filter((number) => trained.has(number))).toEqual([]);
    expect(train.length).toBe(set.trainSamples);
    expect(heldOut.length).toBe(set.heldOutSamples);
  });

  it.each(['editor', 'original'] as const)('%s: no text is on both sides, though files are copied', async (format) => {
    const copies = files(40).map((line) => line.replace('/p/', '/copy/').replace('"uuid":"u', '"uuid":"copy'));
    await given([...files(40), ...copies]);
    const set = await build({ format, heldOutShare: 0.4 });
    const trained = new Set((await samples(set.trainPath)).map(({ completion }) => completion));
    const heldOut = (await samples(set.heldOutPath)).map(({ completion }) => completion);
    expect(heldOut.length).toBeGreaterThan(0);
    expect(heldOut.filter((text) => trained.has(text))).toEqual([]);
    expect(new Set(heldOut).size).toBe(heldOut.length);
  });

  it('a file stays on its side when others come', () => {
    const names = Array.from({ length: 300 }, (_, index) => `file ${index}`);
    const before = heldOutFiles(names.slice(0, 200), 0.1);
    const after = heldOutFiles(names, 0.1);
    expect([...after].filter((name) => names.indexOf(name) < 200).sort()).toEqual([...before].sort());
    expect(after.size).toBeGreaterThan(15);
    expect(after.size).toBeLessThan(50);
  });

  it('few files still leave one to hold out and one to train on', () => {
    for (let count = 2; count < 8; count++) {
      const names = Array.from({ length: count }, (_, index) => `f${index}`);
      const chosen = heldOutFiles(names, 0.5).size;
      expect(chosen).toBeGreaterThan(0);
      expect(chosen).toBeLessThan(count);
    }
    expect(heldOutFiles(['only'], 0.5).size).toBe(0);
    expect(heldOutFiles(['a', 'b', 'c'], 0).size).toBe(0);
  });
});

it('W1: a batch is settled by the set only when it gave no row to it', async () => {
  await given([snippet()], 'teaches');
  await given([snippet({ uuid: 'n', path: '/n', quality_label: 'neutral' })], 'neutral');
  await given([snippet({ uuid: 'e', path: '/e', content: 'old', quality_label: 'gut (Training)' })], 'replaced');
  const newer = { uuid: 'e', path: '/e', content: 'new', last_modified_utc: '2025-07-02T00:00:00Z' };
  await given([snippet(newer)], 'newer');
  await ledger.write((database) => database.run("UPDATE batches SET replaced_rows = 1 WHERE name = 'replaced'"));
  const set = await build();
  expect([...set.batches.values()]).toEqual([1, 1]);
  expect(ledger.batches.settleable()).toEqual([
    { name: 'neutral', reason: 'no training rows: none has the label or feedback type that is trained on' },
    { name: 'replaced', reason: 'no training rows: later batches replaced all its rows' },
  ]);
});

it('no samples are an error that leaves no file, and settles the batches all the same', async () => {
  await given([snippet({ quality_label: 'neutral' })]);
  await expect(build()).rejects.toThrow(NoTrainingDataError);
  expect(existsSync(join(directory, 'dataset'))).toBe(false);
  expect(ledger.batches.settleable()).toHaveLength(1);
});

it('very many rows are read, sorted and written beside the event loop, and a cancel ends it', async () => {
  await given(files(20_000));
  const abort = new AbortController();
  const cancelled = build({}, abort.signal);
  const reason = new Error('a person has cancelled it');
  abort.abort(reason);
  await expect(cancelled).rejects.toBe(reason);
  expect(existsSync(join(directory, 'dataset', 'train.jsonl'))).toBe(false);

  const before = performance.eventLoopUtilization();
  expect(await build()).toMatchObject({ trainSamples: 20_000 });
  // Work of this thread itself would keep it busy all the time.
  expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.5);
});

it('the fingerprint depends on the set and on every hyperparameter, not on their order', () => {
  const base = { trainingSetSha256: 'a', hyperparameters: { rank: 16, nested: { x: 1, y: [1, 2] } } };
  const same = { hyperparameters: { nested: { y: [1, 2], x: 1 }, rank: 16 }, trainingSetSha256: 'a' };
  expect(trainingFingerprint(same)).toBe(trainingFingerprint(base));
  const others = [
    { ...base, trainingSetSha256: 'b' },
    { ...base, hyperparameters: { ...base.hyperparameters, rank: 8 } },
    { ...base, hyperparameters: { rank: 16, nested: { x: 1, y: [2, 1] } } },
  ];
  expect(new Set([base, ...others].map(trainingFingerprint)).size).toBe(4);
});

describe('splitSource', () => {
  const block = (name: string, lines: number) => `def ${name}():\n${'    step()\n\n'.repeat(lines)}    return 1\n`;

  it('cuts between top-level blocks and loses nothing but blank lines', () => {
    const text = [block('a', 8), block('b', 8), block('c', 8)].join('\n\n');
    const parts = splitSource(text, 170);
    expect(parts.map((part) => part.slice(0, 7))).toEqual(['def a()', 'def b()', 'def c()']);
    expect(parts.join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
  });

  it('keeps to the limit on long lines, whole characters included', () => {
    const text = '😀'.repeat(200);
    const parts = splitSource(text, 33);
    expect(Math.max(...parts.map((part) => part.length))).toBeLessThanOrEqual(33);
    expect(parts.join('')).toBe(text);
    expect(parts.every((part) => !/\p{Surrogate}/u.test(part))).toBe(true);
  });

  it('drops empty text', () => {
    expect(splitSource('\n\n  \n', 100)).toEqual([]);
  });
});
