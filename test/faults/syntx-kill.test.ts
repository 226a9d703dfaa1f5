import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { startConsumePrompts, startProducePrompts } from '../../src/client.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { waitUntil } from '../support/wait-until.js';

let machine: SyntxMachine;

afterEach(() => machine.close());

async function keptPrompts(): Promise<number> {
  const runs = await readdir(join(machine.tower.home, 'syntx')).catch(() => []);
  const kept = await Promise.all(
    runs.map((run) => readdir(join(machine.tower.home, 'syntx', run, 'prompts')).catch(() => [])),
  );
  return kept.flat().filter((name) => /^\d+\.json$/.test(name)).length;
}

/** What is on disk of the only run: its plan, and the texts that are paid. */
async function onlyRun(): Promise<{ plan: string; texts: string[] }> {
  const [run = ''] = await readdir(join(machine.tower.home, 'syntx'));
  const directory = join(machine.tower.home, 'syntx', run);
  const names = (await readdir(join(directory, 'prompts'))).filter((name) => /^\d+\.json$/.test(name));
  const kept = await Promise.all(names.map((name) => readFile(join(directory, 'prompts', name), 'utf8')));
  return {
    plan: await readFile(join(directory, 'plan.json'), 'utf8'),
    texts: kept.map((text) => (JSON.parse(text) as { text: string }).text),
  };
}

it('kill -9 and restarts of the worker inside produce and consume: nothing lost, nothing paid, answered or scored twice', async () => {
  machine = await SyntxMachine.create({ llm: { latencyMs: 300 }, service: { latencyMs: 400 } });
  const { client } = machine.tower;
  let worker = await machine.tower.startControl();
  const production = await startProducePrompts(client, { count: 12 });
  const paid = await waitUntil('some prompts to be paid', async () => {
    const kept = await keptPrompts();
    return kept >= 3 ? kept : undefined;
  });
  await machine.tower.kill(worker);
  const { plan, texts } = await onlyRun();
  worker = await machine.tower.startControl();
  expect(await production.result()).toMatchObject({ outcome: 'produced', written: 12, failed: 0 });
  // At most the calls under way at the kill were made again.
  expect(machine.llm.requests.length).toBeLessThanOrEqual(12 + 4);
  expect(machine.llm.requests.length - 12).toBeLessThan(paid + 4);
  expect(await machine.levels()).toMatchObject({ incoming: 12, processing: 0 });
  expect(await machine.faults()).toEqual([]);
  // The generation is the one that was drawn before the kill, with the very prompts that were paid by then.
  const waiting = await machine.jobs('incoming');
  const planned = (JSON.parse(plan) as { prompts: { style: string; category: string }[] }).prompts;
  expect(waiting.map((name) => name.replace(/^.*__topic_/, ''))).toEqual(
    planned.map(({ style, category }) => `${category}__style_${style}`),
  );
  const written = await Promise.all(
    waiting.map((name) => readFile(join(machine.queue, 'incoming', `${name}.txt`), 'utf8')),
  );
  expect(texts.length).toBeGreaterThanOrEqual(paid);
  expect(written).toEqual(expect.arrayContaining(texts));

  const consumption = await startConsumePrompts(client, { wrapper: 'sigma', batch: 12 });
  const answers = (count: number) =>
    waitUntil(`${count} answers`, async () => {
      const { processed, error } = await machine.levels();
      return processed + error >= count ? true : undefined;
    });
  // First in order, as for an update, while calls are under way; then by kill -9.
  await answers(1);
  await machine.tower.stop(worker);
  worker = await machine.tower.startControl();
  await answers(5);
  await machine.tower.kill(worker);
  worker = await machine.tower.startControl();
  const result = await consumption.result();
  expect(result).toMatchObject({ claimed: 12, unscored: 0, lost: 0, ended: 'batch' });
  expect(result.processed + result.low).toBe(12);
  expect(await machine.levels()).toMatchObject({ incoming: 0, processing: 0 });
  expect(await machine.faults()).toEqual([]);
  // The guide's block names each job once, however often its activity ran.
  const log = await machine.log('consumer_sigma_cron.log');
  expect(log.match(/^Processing: /gm)).toHaveLength(12);
  expect(log.match(/BATCH COMPLETE/g)).toHaveLength(1);
  // Never more calls at once than are allowed; a prompt was asked for again only where a worker had ended.
  const calls = machine.service.calls();
  expect(Math.max(...calls.map(({ concurrent }) => concurrent))).toBeLessThanOrEqual(4);
  expect(calls.length).toBeLessThanOrEqual(12 + 2 * 4);

  await atTheSameMinute(worker);
});

/** Both consumers, with four calls at once between them, and the producer; the worker is killed when all four are under way. */
async function atTheSameMinute(worker: GuardedProcess): Promise<void> {
  const { client } = machine.tower;
  await (await startProducePrompts(client, { count: 16, force: true })).result();
  const before = await machine.levels();
  const earlier = machine.service.calls().length;
  machine.service.faults = [{ times: 4, fault: { kind: 'slow', delayMs: 600_000 } }];
  const [sigma, system, production] = await Promise.all([
    startConsumePrompts(client, { wrapper: 'sigma', batch: 8 }),
    startConsumePrompts(client, { wrapper: 'syntex_system', batch: 8 }),
    startProducePrompts(client, { count: 6, force: true }),
  ]);
  const calls = () => machine.service.calls().slice(earlier);
  // The limit is the service's: what the other run has claimed waits for its turn, and says so.
  const waits = await waitUntil('four claimed prompts that wait for their turn', async () => {
    const waiting = await Promise.all([sigma, system].map(({ workflowId }) => waitsForTurn(workflowId)));
    return waiting.flat().length === 4 ? waiting.flat() : undefined;
  });
  expect(new Set(waits)).toEqual(new Set(['4 calls are under way at the wrapper service, and no more are allowed']));
  expect(await machine.levels()).toMatchObject({ processing: 8 });
  expect(calls()).toHaveLength(4);
  await machine.tower.kill(worker);
  await machine.tower.startControl();
  for (const consumption of [sigma, system]) {
    const result = await consumption.result();
    expect(result).toMatchObject({ claimed: 8, unscored: 0, lost: 0, ended: 'batch' });
    expect(result.processed + result.low).toBe(8);
  }
  expect(await production.result()).toMatchObject({ written: 6, failed: 0 });
  const { processing, processed, error, archive } = await machine.levels();
  expect({ processing, done: processed + error + archive }).toEqual({
    processing: 0,
    done: before.processed + before.error + before.archive + 16,
  });
  expect(await machine.faults()).toEqual([]);
  // Those under way at the kill were asked for again, and no other.
  expect(calls()).toHaveLength(16 + 4);
  expect(new Set(calls().map(({ prompt }) => prompt)).size).toBe(16);
  // The killed worker's calls are still at the service when the next worker makes its first.
  expect(Math.max(...calls().map(({ concurrent }) => concurrent))).toBeLessThanOrEqual(4 + 4);
}

/** What the prompts of a run wait for that are claimed and not asked yet. */
async function waitsForTurn(workflowId: string): Promise<string[]> {
  const { activities } = await takeSnapshot(machine.tower.client, workflowId);
  return activities.flatMap(({ progress }) =>
    progress?.stage === 'waiting for its turn' && progress.waitsFor !== null ? [progress.waitsFor.message] : [],
  );
}

it('a run that was killed for good: its jobs go back, and what it has paid for is published by the next one', async () => {
  machine = await SyntxMachine.create({ llm: { latencyMs: 300 }, service: { latencyMs: 60_000 } });
  const { client } = machine.tower;
  await machine.tower.startControl();
  // So many that it is at work until a heartbeat tells it of its end.
  const production = await startProducePrompts(client, { count: 200 });
  await waitUntil('some prompts to be paid', async () => ((await keptPrompts()) >= 3 ? true : undefined));
  await production.terminate('test');
  await waitUntil('the end of the activity', async () =>
    (await readFile(machine.tower.paths.logFile, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { activity?: string; msg?: string })
      .some(({ activity, msg }) => activity === 'generatePrompts' && msg === 'activity cancelled'),
  );
  const kept = await keptPrompts();
  expect(await machine.levels()).toMatchObject({ incoming: 0 });
  const next = await (await startProducePrompts(client, { count: 2 })).result();
  expect(next).toMatchObject({ recovered: kept, written: 2 });

  const consumption = await startConsumePrompts(client, { wrapper: 'sigma', batch: 4 });
  await waitUntil('claimed jobs', async () => ((await machine.levels()).processing === 4 ? true : undefined));
  await consumption.terminate('test');
  const monitored = await machine.tick({ kind: 'monitor' });
  expect(monitored).toMatchObject({ outcome: 'ran', result: { takenBack: 4, levels: { processing: 0 } } });
  expect(await machine.levels()).toMatchObject({ incoming: kept + 2, processing: 0 });
});

it('a producer that is cancelled has ended its calls when it ends: the next run publishes all that it has paid for', async () => {
  machine = await SyntxMachine.create({ inMemory: true, llm: { latencyMs: 300 } });
  const { client } = machine.tower;
  await machine.tower.startControl();
  const production = await startProducePrompts(client, { count: 200 });
  await waitUntil('some prompts to be paid', async () => ((await keptPrompts()) >= 3 ? true : undefined));
  await production.cancel();
  await expect(production.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  const { events } = await production.fetchHistory();
  expect(events?.flatMap(({ activityTaskCanceledEventAttributes: ended }) => ended ?? [])).toHaveLength(1);
  const [kept, asked] = [await keptPrompts(), machine.llm.requests.length];
  const next = await (await startProducePrompts(client, { count: 2, force: true })).result();
  expect(next).toMatchObject({ recovered: kept, written: 2 });
  expect(machine.llm.requests).toHaveLength(asked + 2);
  expect(await keptPrompts()).toBe(0);
});
