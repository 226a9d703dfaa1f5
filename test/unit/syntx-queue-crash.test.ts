import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { failAt, fileError, fileFaults, noFileFaults } from '../support/faulty-files.js';
import { baseName, call, goodAnswer, owner, poorAnswer, QueueWorld, scored } from '../support/syntx-queue.js';

vi.mock('node:fs/promises', async (original) => {
  const { faultyFiles } = await import('../support/faulty-files.js');
  return faultyFiles(await original());
});

/** Work that is done again from its start when it was interrupted, with the same identity. */
interface Scenario {
  readonly prepare: (world: QueueWorld) => Promise<void>;
  readonly act: (queue: SyntxQueue) => Promise<unknown>;
  /** What is where in the end. */
  readonly end: Readonly<Record<string, readonly string[]>>;
}

const first = baseName(1);
const files = (name: string, ...endings: string[]) => endings.map((ending) => `${name}${ending}`).sort();
const triple = files(first, '.json', '.txt', '_response.txt');

async function claimed(queue: SyntxQueue) {
  const job = await queue.claim({ owner, claim: '1' });
  if (job === undefined) throw new Error('nothing waits');
  return job;
}

/** A workflow's claim is in its history once it was made; until then it is made again. */
function consumer(end: (queue: SyntxQueue, job: Awaited<ReturnType<typeof claimed>>) => Promise<unknown>) {
  let job: Awaited<ReturnType<typeof claimed>> | undefined;
  return {
    act: async (queue: SyntxQueue) => {
      job ??= await claimed(queue);
      if ((await queue.settled(job)) === undefined) await end(queue, job);
    },
    forget: () => {
      job = undefined;
    },
  };
}

const good = consumer(async (queue, job) => {
  await queue.storeAnswer(job, job.prompt, { wrapper: 'sigma', response: goodAnswer, durationMs: 1, attempts: 1 });
  await queue.complete(job, scored(goodAnswer));
});
const poor = consumer((queue, job) => queue.complete(job, scored(poorAnswer)));
const fault = consumer(async (queue, job) => {
  const at = '2026-01-05T04:01:02.643Z';
  await queue.noteFault(job, { kind: 'WRAPPER_FAILED', error: 'HTTPError: Server Error 500', detail: '', at });
  await queue.fail(job, { ...call, error: 'HTTPError: Server Error 500' });
});
const returned = consumer((queue, job) => queue.giveBack(job));

const newJob = {
  ...{ id: 'run-1#1', category: 'harmlos', style: 'casual', prompt: 'Prompt', metadata: {} },
  ...{ time: new Date('2026-01-05T04:00:10.464Z'), sequence: 1 },
};

const processedMetadata = {
  ...{ topic: 'harmlos', style: 'casual', category: 'harmlos', status: 'success' },
  processed_at: '2026-01-05T04:01:02.643493',
  syntex_result: { quality_score: { total_score: 100 }, wrapper: 'sigma', response_text: goodAnswer },
};
const lowMetadata = {
  ...processedMetadata,
  ...{ status: 'error', last_error: { error: 'score 45 < 90' }, failed_at: '2026-01-05T04:01:02.643493' },
};

const scenarios: Readonly<Record<string, Scenario>> = {
  'a good answer': { prepare: (world) => world.put('incoming', first), act: good.act, end: { processed: triple } },
  'a low score': {
    prepare: (world) => world.put('incoming', first),
    act: poor.act,
    end: { error: files(first, '.json', '.txt') },
  },
  'a fault': {
    prepare: (world) => world.put('incoming', first),
    act: fault.act,
    end: { error: files(`${first}__retry1`, '.json', '.txt') },
  },
  'a job given back': {
    prepare: (world) => world.put('incoming', first),
    act: returned.act,
    end: { incoming: files(first, '.json', '.txt') },
  },
  archiving: {
    prepare: (world) => world.put('processed', first, { metadata: processedMetadata, response: goodAnswer }),
    act: (queue) => queue.archive([first]),
    end: { archive: triple },
  },
  'a retry of a low score': {
    prepare: (world) => world.put('error', first, { metadata: lowMetadata }),
    act: (queue) => queue.retry({ scored: true }),
    end: { incoming: files(first, '.json', '.txt') },
  },
  'a requeued answer': {
    prepare: (world) => world.put('processed', first, { metadata: processedMetadata, response: goodAnswer }),
    act: (queue) => queue.requeue([first]),
    end: { incoming: files(first, '.json', '.txt') },
  },
  // Producer and consumer begin again: the producer must not take the job that is being claimed for one half written.
  'a new job that is answered': {
    prepare: () => Promise.resolve(),
    act: async (queue) => {
      await queue.add(newJob);
      await good.act(queue);
    },
    end: { processed: triple },
  },
  'a new job': {
    prepare: () => Promise.resolve(),
    act: (queue) => queue.add(newJob),
    end: { incoming: files(first, '.json', '.txt') },
  },
};

let world: QueueWorld;
beforeEach(() => {
  noFileFaults();
});
afterEach(() => {
  noFileFaults();
  for (const { forget } of [good, poor, fault, returned]) forget();
});

function expectEnd({ end }: Scenario, where: string): void {
  expect(world.faults(), where).toEqual([]);
  for (const stage of ['incoming', 'processing', 'processed', 'error', 'archive']) {
    expect(world.names(stage), `${stage}, ${where}`).toEqual(end[stage] ?? []);
  }
}

describe.each(Object.entries(scenarios))('%s', (_name, scenario) => {
  it('killed at any point and done again, ends as if nothing had happened', async () => {
    for (let point = 1, finished = false; !finished; point++) {
      world = new QueueWorld();
      for (const { forget } of [good, poor, fault, returned]) forget();
      await scenario.prepare(world);
      const { reached, calls } = failAt(point, 'crash');
      const victim = world.open();
      finished = await Promise.race([scenario.act(victim).then(() => true), reached.then(() => false)]);
      const last = calls.at(-1);
      const where = `killed at call ${point}: ${last?.name ?? ''} ${last?.path.replace(world.root, '') ?? ''}`;
      noFileFaults();
      victim.close();
      await scenario.act(world.open());
      expectEnd(scenario, where);
      world.close();
      expect(point).toBeLessThan(200);
    }
  });

  it('on a full disk at any point says so, and goes on when there is space', async () => {
    for (let point = 1, finished = false; !finished; point++) {
      world = new QueueWorld();
      for (const { forget } of [good, poor, fault, returned]) forget();
      await scenario.prepare(world);
      const queue = world.open();
      let calls = 0;
      // Only what needs space fails; removing does not.
      fileFaults.decide = ({ name }) => {
        const needsSpace = name === 'write' || name === 'rename' || name === 'mkdir' || name === 'sync';
        if (!needsSpace) return 'go';
        calls += 1;
        return calls >= point ? fileError('ENOSPC') : 'go';
      };
      const outcome = await scenario.act(queue).then(
        () => 'done',
        (error: unknown) => error,
      );
      finished = outcome === 'done';
      if (!finished) expect(outcome).toMatchObject({ code: 'DISK_FULL', retryable: true });
      noFileFaults();
      await scenario.act(queue);
      expectEnd(scenario, `full from call ${point} on`);
      world.close();
    }
  });
});

it('killed at any point while it consumes, and never again, loses nothing: others take over', async () => {
  for (let point = 1, finished = false; !finished; point++) {
    world = new QueueWorld();
    for (const index of [1, 2]) await world.put('incoming', baseName(index));
    good.forget();
    const { reached } = failAt(point, 'crash');
    const victim = world.open();
    finished = await Promise.race([good.act(victim).then(() => true), reached.then(() => false)]);
    noFileFaults();
    victim.close();

    const other = world.open();
    await other.takeBack({ isOpen: () => Promise.resolve(false), foreignAfterMs: 60_000 });
    const successor = { workflowId: 'consume-syntex', runId: 'run-2' };
    for (let claim = 1; ; claim++) {
      const job = await other.claim({ owner: successor, claim: String(claim) });
      if (job === undefined) break;
      await other.complete(job, scored(goodAnswer));
    }
    expect(world.faults(), `killed at call ${point}`).toEqual([]);
    expect(await other.counts()).toMatchObject({
      incoming: { jobs: 0 },
      processing: { jobs: 0 },
      processed: { jobs: 2 },
    });
    world.close();
  }
});
