import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, expect, it } from 'vitest';

import { startConsumePrompts, startProducePrompts } from '../../src/client.js';
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

it('kill -9 of the worker inside produce and consume: nothing lost, nothing paid, answered or scored twice', async () => {
  machine = await SyntxMachine.create({ llm: { latencyMs: 300 }, service: { latencyMs: 400 } });
  const { client } = machine.tower;
  let worker = await machine.tower.startControl();
  const production = await startProducePrompts(client, { count: 12 });
  const paid = await waitUntil('some prompts to be paid', async () => {
    const kept = await keptPrompts();
    return kept >= 3 ? kept : undefined;
  });
  await machine.tower.kill(worker);
  worker = await machine.tower.startControl();
  expect(await production.result()).toMatchObject({ outcome: 'produced', written: 12, failed: 0 });
  // At most the calls under way at the kill were made again.
  expect(machine.llm.requests.length).toBeLessThanOrEqual(12 + 4);
  expect(machine.llm.requests.length - 12).toBeLessThan(paid + 4);
  expect(await machine.levels()).toMatchObject({ incoming: 12, processing: 0 });
  expect(await machine.faults()).toEqual([]);

  const consumption = await startConsumePrompts(client, { wrapper: 'sigma', batch: 12 });
  await waitUntil('some answers', async () => {
    const { processed, error } = await machine.levels();
    return processed + error >= 3 ? true : undefined;
  });
  await machine.tower.kill(worker);
  await machine.tower.startControl();
  const result = await consumption.result();
  expect(result).toMatchObject({ claimed: 12, unscored: 0, lost: 0, ended: 'batch' });
  expect(result.processed + result.low).toBe(12);
  expect(await machine.levels()).toMatchObject({ incoming: 0, processing: 0 });
  expect(await machine.faults()).toEqual([]);
  // The guide's block names each job once, however often its activity ran.
  const log = await machine.log('consumer_sigma_cron.log');
  expect(log.match(/^Processing: /gm)).toHaveLength(12);
  expect(log.match(/BATCH COMPLETE/g)).toHaveLength(1);
});

it('a run that was killed for good: its jobs go back, and what it has paid for is published by the next one', async () => {
  machine = await SyntxMachine.create({ llm: { latencyMs: 300 }, service: { latencyMs: 60_000 } });
  const { client } = machine.tower;
  await machine.tower.startControl();
  const production = await startProducePrompts(client, { count: 12 });
  await waitUntil('some prompts to be paid', async () => ((await keptPrompts()) >= 3 ? true : undefined));
  await production.terminate('test');
  const kept = await waitUntil('the end of the activity', async () => {
    const before = await keptPrompts();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return (await keptPrompts()) === before ? before : undefined;
  });
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
