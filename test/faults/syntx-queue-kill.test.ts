import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import { QueueWorld } from '../support/syntx-queue.js';

const script = fileURLToPath(new URL('fixtures/syntx-consumer.js', import.meta.url));
const jobs = 150;

let world: QueueWorld;
beforeEach(() => {
  world = new QueueWorld();
});
afterEach(() => world.close());

/** Consumes until nothing waits, or until it is killed, some time after its first job. */
async function consume(workflow: string, closed: readonly string[], killAfterMs?: number): Promise<string | null> {
  const child = spawn(process.execPath, [script, world.root, workflow, closed.join(','), String(jobs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  child.stdout.resume();
  if (killAfterMs !== undefined) {
    await Promise.race([once(child.stdout, 'data'), ended]);
    await pause(killAfterMs);
    child.kill('SIGKILL');
  }
  const [, signal] = (await ended) as [number | null, string | null];
  return signal;
}

it('two consumers and a producer, killed again and again, do every job once', async () => {
  const random = new SeededRandom('kill');
  const closed: string[] = [];
  let kills = 0;
  for (let round = 1; round <= 3; round++) {
    const workflows = [`a-${round}`, `b-${round}`];
    const signals = await Promise.all(workflows.map((name) => consume(name, closed, random.between(0, 60))));
    kills += signals.filter((signal) => signal === 'SIGKILL').length;
    closed.push(...workflows);
  }
  expect(kills).toBeGreaterThan(2);
  await Promise.all([consume('c', closed), consume('d', closed)]);

  expect(world.faults()).toEqual([]);
  const counts = await world.open().counts();
  expect(counts).toMatchObject({
    ...{ incoming: { jobs: 0 }, processing: { jobs: 0 }, broken: { jobs: 0 } },
    ...{ processed: { jobs: (jobs * 2) / 3 }, error: { jobs: jobs / 3 } },
  });
  const prompts = (['processed', 'error'] as const).flatMap((stage) =>
    world
      .names(stage)
      .filter((name) => name.endsWith('.txt') && !name.endsWith('_response.txt'))
      .map((name) => world.text(stage, name)),
  );
  expect(new Set(prompts)).toEqual(new Set(Array.from({ length: jobs }, (_, index) => `Prompt ${index + 1}`)));
  expect(prompts).toHaveLength(jobs);
  // No failure was counted twice either.
  expect(world.names('error').filter((name) => name.includes('__retry2'))).toEqual([]);
});
