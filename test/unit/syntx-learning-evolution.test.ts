import { appendFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EvolutionLog } from '../../src/syntx/evolution/evolution-log.js';
import { evolutionStatus } from '../../src/syntx/evolution/evolution-status.js';
import type { GenerationRecord } from '../../src/syntx/evolution/generation-record.js';
import { cellTable } from '../../src/syntx/learning/cell-table.js';
import { learningOptionsSchema } from '../../src/syntx/learning/policy.js';

let directory: string;
let log: EvolutionLog;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-evolution-'));
  log = new EvolutionLog({
    directory,
    file: 'evolution.jsonl',
    timeZone: 'Europe/Berlin',
    log: pino({ level: 'silent' }),
  });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const current = () => join(directory, 'evolution.jsonl');

function record(run: string, changes: Partial<GenerationRecord> = {}): GenerationRecord {
  const reason = { kind: 'sampled', text: 'best in a sampled landscape' } as const;
  return {
    ...{ version: 1, run, at: '2026-01-05T03:00:10.464Z', generation: 1, policy: 'thompson', seed: run },
    learnedFrom: {
      ...{ sampleCount: 5, averageScore: 100, averageFieldCompleteness: 97.5 },
      ...{ topCategories: ['harmlos', 'bildung', 'kritisch'], topStyles: ['casual'] },
    },
    ...{ feedbackStrength: 0.8, model: 'gpt-4o', simulated: false, paid: 0.1 },
    prompts: [
      { style: 'casual', category: 'harmlos', topic: 'Yoga', reason, job: 'B_1', error: null },
      { style: 'casual', category: 'bildung', topic: 'Physik', reason, job: null, error: 'Content refused' },
    ],
    ...changes,
  };
}

/** A line as the original writes it. */
const upstream = (generation: number, timestamp = '2025-12-09T02:03:11.123456') =>
  `${JSON.stringify({
    ...{ timestamp, generation },
    learned_from: {
      sample_count: 5,
      avg_score: 100.0,
      avg_field_completeness: 100.0,
      top_categories: ['harmlos'],
      top_styles: ['casual'],
    },
    ...{ prompts_generated: 20, feedback_strength: 0.8 },
  })}\n`;

it('writes the line of the contract, in local time, with its keys in order', async () => {
  await log.append(record('produce/1'));
  const text = await readFile(current(), 'utf8');
  const { tower, ...line } = JSON.parse(text) as Record<string, unknown>;
  expect(JSON.stringify(line)).toBe(
    '{"timestamp":"2026-01-05T04:00:10.464000","generation":1,' +
      '"learned_from":{"sample_count":5,"avg_score":100,"avg_field_completeness":97.5,' +
      '"top_categories":["harmlos","bildung","kritisch"],"top_styles":["casual"]},' +
      '"prompts_generated":1,"feedback_strength":0.8}',
  );
  expect(tower).toEqual({ run: 'produce/1' });
  expect(text.endsWith('\n')).toBe(true);
});

it('records a run once, however often it is tried, also after a rotation in between', async () => {
  await log.append(record('produce/1'));
  await rename(current(), join(directory, 'evolution.20260106.jsonl'));
  await writeFile(current(), '');
  await rm(join(directory, 'generations.jsonl'));
  await log.append(record('produce/1'));
  await log.append(record('produce/1'));
  expect(await readFile(current(), 'utf8')).toBe('');
  expect(await log.history()).toHaveLength(1);
});

it('records a run once, also when several attempts find it missing at the same time', async () => {
  await log.append(record('produce/1'));
  await Promise.all(Array.from({ length: 8 }, () => log.append(record('produce/2'))));
  const runsIn = async (file: string) =>
    (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => {
        const { run, tower } = JSON.parse(line) as { run?: string; tower?: { run: string } };
        return run ?? tower?.run;
      });
  expect(await runsIn(current())).toEqual(['produce/1', 'produce/2']);
  expect(await runsIn(join(directory, 'generations.jsonl'))).toEqual(['produce/1', 'produce/2']);
});

describe('the generation number', () => {
  it('begins with 1', async () => {
    expect(await log.nextGeneration()).toBe(1);
  });

  it('goes on from the original, through days and months that were rotated', async () => {
    await mkdir(join(directory, 'archive'));
    await writeFile(join(directory, 'archive', 'evolution.202511.jsonl.gz'), gzipSync(upstream(41)));
    await writeFile(join(directory, 'evolution.20251209.jsonl'), upstream(1) + upstream(2));
    await writeFile(current(), upstream(3));
    expect(await log.nextGeneration()).toBe(42);
  });

  it('survives that all of those are gone, by the log that nobody rotates', async () => {
    await log.append(record('produce/1', { generation: 17 }));
    await rm(current());
    expect(await log.nextGeneration()).toBe(18);
  });

  it('is not used up by a run that explored, which leaves no line in the log of the original', async () => {
    await log.append(record('produce/1', { generation: 4, learnedFrom: null }));
    expect(await log.nextGeneration()).toBe(1);
    await expect(readFile(current())).rejects.toThrow('ENOENT');
    expect(await log.history()).toMatchObject([{ generation: 4, learnedFrom: null, record: { run: 'produce/1' } }]);
  });

  it('is found behind torn lines and files that cannot be unpacked', async () => {
    await mkdir(join(directory, 'archive'));
    await writeFile(join(directory, 'archive', 'evolution.202511.jsonl.gz'), 'no gzip');
    await writeFile(current(), `${upstream(7)}{"timestamp":"2025-12-1`);
    expect(await log.nextGeneration()).toBe(8);
    await log.append(record('produce/1', { generation: 8 }));
    expect(await log.nextGeneration()).toBe(9);
    const lines = (await readFile(current(), 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(JSON.parse(lines[2]!)).toMatchObject({ generation: 8 });
  });
});

it('tells the history of the original and its own, oldest first, each run once', async () => {
  await writeFile(current(), upstream(1) + upstream(2, '2025-12-10T02:03:11'));
  await mkdir(join(directory, 'archive'));
  await writeFile(join(directory, 'archive', 'evolution.202512.jsonl.gz'), gzipSync(upstream(1)));
  await log.append(record('produce/1', { generation: 3 }));
  await appendFile(current(), '\n');
  const history = await log.history();
  expect(history.map(({ generation, record: own }) => [generation, own?.run ?? null])).toEqual([
    [1, null],
    [2, null],
    [3, 'produce/1'],
  ]);
  expect(history[0]).toMatchObject({ at: Date.parse('2025-12-09T01:03:11.123Z'), promptsGenerated: 20 });
  expect(history[2]!.record!.prompts[1]).toMatchObject({
    topic: 'Physik',
    error: 'Content refused',
    reason: { kind: 'sampled' },
  });
});

it('tells where the evolution stands', async () => {
  await log.append(record('produce/1', { generation: 3 }));
  const landscape = { styles: ['casual', 'technisch'], topics: { harmlos: ['Yoga'], bildung: ['Physik'] } };
  const jobs = Array.from({ length: 30 }, (_, index) => ({
    ...{ id: String(index).padStart(3, '0'), style: index % 2 === 0 ? 'casual' : 'technisch', category: 'harmlos' },
    ...{
      wrapper: 'sigma',
      score: index % 2 === 0 ? 98 : 45,
      scoredAt: index * 60_000,
      place: 'archive' as const,
      fieldCompleteness: 90,
    },
  }));
  const options = learningOptionsSchema.parse({});
  const status = await evolutionStatus(log, cellTable(jobs, landscape, options), options);
  expect(status).toMatchObject({ policy: 'thompson', nextGeneration: 4, unseen: 2 });
  expect(status.lastRun).toMatchObject({ generation: 3 });
  expect(status.best[0]).toMatchObject({ style: 'casual', category: 'harmlos', draws: 15, mean: 98, goodShare: 1 });
});
