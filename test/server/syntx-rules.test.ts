import { mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { startProducePrompts } from '../../src/client.js';
import type { MonitorQueueResult } from '../../src/workflows/monitor.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { baseName, processedMetadata, scoreOf, goodAnswer, type StageName } from '../support/syntx-queue.js';

const styles = ['sachlich', 'poetisch'];
const topics = { garten: ['Rosen schneiden', 'Kompost anlegen'], meer: ['Ebbe und Flut', 'Wale'] };

let machine: SyntxMachine;

beforeAll(async () => {
  machine = await SyntxMachine.create({ inMemory: true });
});
afterAll(() => machine.close());

/** A job that the original has scored. */
async function scored(stage: StageName, index: number, { style, score }: { style: string; score: number }) {
  const name = baseName(index, 'garten', style);
  const result = {
    quality_score: { ...scoreOf(goodAnswer), total_score: score },
    wrapper: 'sigma',
    response_text: 'A',
  };
  await mkdir(join(machine.queue, stage), { recursive: true });
  await writeFile(join(machine.queue, stage, `${name}.txt`), `Prompt ${index}`);
  await writeFile(
    join(machine.queue, stage, `${name}.json`),
    JSON.stringify(processedMetadata(name, { syntex_result: result })),
  );
  return name;
}

async function produce(count: number) {
  return (await startProducePrompts(machine.tower.client, { count })).result();
}

async function monitor(scheduledTime: string): Promise<MonitorQueueResult> {
  const ticked = await machine.tick({ kind: 'monitor', scheduledTime });
  if (ticked.outcome !== 'ran') throw new Error(ticked.reason);
  return ticked.result as MonitorQueueResult;
}

const tomorrow = () => new Date(Date.now() + 24 * 3_600_000);

it('own topics and styles with the rule of the original: at most 50 of the best in processed teach, and they alone are archived', async () => {
  await machine.configure({
    syntx: {
      ...{ dailyReport: false, generation: { styles, topics, similarityLimit: 1 } },
      learning: { policy: 'patterns' },
    },
  });
  const worker = await machine.tower.startControl();
  const best = await Promise.all(
    Array.from({ length: 52 }, (_, index) => scored('processed', index, { style: 'sachlich', score: 95 })),
  );
  const low = await Promise.all(
    Array.from({ length: 3 }, (_, index) => scored('processed', 60 + index, { style: 'poetisch', score: 89 })),
  );
  // Better than any of them, and not where the original looks.
  const old = await scored('archive', 70, { style: 'poetisch', score: 100 });

  const produced = await produce(6);
  // Each topic once: there are four.
  expect(produced).toMatchObject({ outcome: 'produced', learnedFrom: 50, archived: 50, written: 4, simulated: true });
  expect(produced.reason).toMatch(/: 6; only 4: a run by the rule of the original has each topic once$/);
  expect(await machine.jobs('processed')).toEqual([...best.slice(50), ...low].sort());
  expect(await machine.jobs('archive')).toEqual([...best.slice(0, 50), old].sort());
  const jobs = await machine.jobs('incoming');
  const made = await Promise.all(jobs.map((job) => machine.metadata('incoming', job)));
  expect(made.map(({ style }) => style)).toEqual(Array.from({ length: 4 }, () => 'sachlich'));
  const own = made.map(({ tower }) => tower as { topic: string; reason: { kind: string } });
  expect(own.map(({ topic }) => topic).sort()).toEqual(Object.values(topics).flat().sort());
  expect(new Set(own.map(({ reason }) => reason.kind))).toEqual(new Set(['pattern']));

  // What no model has written, and nobody has paid for, says so wherever it shows.
  expect(own).toMatchObject(Array.from({ length: 4 }, () => ({ prompt_simulated: true })));
  const list = await machine.tower.tower('queue', 'list', 'incoming');
  expect(String(list.stdout).match(/ago \[simulated\]/g)).toHaveLength(4);
  const shown = await machine.tower.tower('queue', 'show', jobs[0] ?? '');
  expect(shown.stdout).toMatch(/^Made +\S+ \[simulated\]$/m);
  for (const log of ['costs.jsonl', 'gpt_prompts.jsonl']) {
    const lines = (await machine.log(log)).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject(
      Array.from({ length: 4 }, () => ({ tower_simulated: true })),
    );
  }

  expect((await monitor(tomorrow().toISOString())).report).toBeNull();
  await machine.tower.stop(worker);
});

it('uniform draws, made by the levels of the original, archive nothing; the first look of a day writes the page of the day before', async () => {
  await machine.configure({ syntx: { learning: { policy: 'uniform' }, generation: { fillRule: 'levels' } } });
  await machine.tower.startControl();
  const { processed, archive } = await machine.levels();
  expect(await produce(20)).toMatchObject({ waiting: 4, reason: '4 prompts wait (LOW): 15', written: 15 });
  expect(await produce(12)).toMatchObject({ waiting: 19, reason: '19 prompts wait (BALANCED): 10', written: 10 });
  expect(await produce(20)).toMatchObject({ outcome: 'skipped', reason: '29 prompts wait (HIGH): 0', written: 0 });
  expect(await machine.levels()).toMatchObject({ incoming: 29, processed, archive });

  const day = new Date().toISOString().slice(0, 10);
  const page = join(machine.tower.home, 'reports', `evolution-${day}.html`);
  // Written in the course of the day: the whole day's page replaces it.
  expect((await machine.tower.tower('report', 'evolution', day)).stdout).toBe(page);
  await writeFile(page, 'before the end of the day');
  const midnight = `${tomorrow().toISOString().slice(0, 10)}T00:00:00Z`;
  expect((await monitor(midnight)).report).toBe(page);
  expect(await readFile(page, 'utf8')).toContain('What is expected of each style and category');
  // It is there, and newer than its day: a later run leaves it.
  await utimes(page, new Date(midnight), new Date(midnight));
  const { ino } = await stat(page);
  expect((await monitor(midnight)).report).toBeNull();
  const cleaned = await machine.tick({ kind: 'clean', scheduledTime: midnight });
  expect(cleaned).toMatchObject({ result: { report: null } });
  expect((await stat(page)).ino).toBe(ino);
});
