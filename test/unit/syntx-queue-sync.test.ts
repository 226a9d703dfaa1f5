import type * as FileSystem from 'node:fs/promises';
import { dirname } from 'node:path';

import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { claimFrom, goodAnswer, QueueWorld, scored } from '../support/syntx-queue.js';

/** What was done to files and directories, in its order. */
const { steps } = vi.hoisted(() => ({
  steps: [] as { readonly name: 'write' | 'sync' | 'rename'; readonly path: string; readonly to?: string }[],
}));

vi.mock('node:fs/promises', async (original) => {
  const actual = await original<typeof FileSystem>();
  const open: typeof actual.open = async (...all) => {
    const [path] = all.map(String) as [string];
    const file = await actual.open(...all);
    const [writeFile, sync] = [file.writeFile.bind(file), file.sync.bind(file)];
    file.writeFile = async (...content) => {
      await writeFile(...content);
      steps.push({ name: 'write', path });
    };
    file.sync = async () => {
      await sync();
      steps.push({ name: 'sync', path });
    };
    return file;
  };
  const rename: typeof actual.rename = async (from, to) => {
    await actual.rename(from, to);
    steps.push({ name: 'rename', path: String(from), to: String(to) });
  };
  return { ...actual, open, rename };
});

let world: QueueWorld;
let queue: SyntxQueue;
beforeEach(() => {
  world = new QueueWorld();
  queue = world.open();
});
afterEach(() => world.close());

/** What would not be there, or not whole, after a power cut at the end of the work. */
async function notDurable(work: () => Promise<unknown>): Promise<string[]> {
  steps.length = 0;
  await work();
  const faults: string[] = [];
  for (const [index, { name, path, to }] of steps.entries()) {
    // The mark that jobs came back is for processes that run: a power cut ends them all.
    if (name !== 'rename' || to === undefined || to === queue.paths.returnMark) continue;
    const written = steps.findLastIndex((step, at) => at < index && step.name === 'write' && step.path === path);
    const isSynced = steps.slice(written + 1, index).some((step) => step.name === 'sync' && step.path === path);
    if (written >= 0 && !isSynced) faults.push(`${to} has its name before its content is on disk`);
    const later = steps.slice(index + 1).filter((step) => step.name === 'sync');
    // What a temporary file leaves behind in staging does not matter.
    for (const directory of [dirname(to), ...(written >= 0 ? [] : [dirname(path)])]) {
      if (!later.some((step) => step.path === directory))
        faults.push(`the name of ${to} is not on disk in ${directory}`);
    }
  }
  expect(steps.some(({ name }) => name === 'rename')).toBe(true);
  return faults;
}

it('a new, a claimed, an answered, a failed, a returned and an archived job are on disk, content before name', async () => {
  const job = (sequence: number) => ({
    ...{ id: `run#${sequence}`, category: 'harmlos', style: 'casual', prompt: 'Prompt', metadata: {}, sequence },
    time: new Date('2026-01-05T04:00:10.464Z'),
  });
  for (const sequence of [1, 2, 3]) expect(await notDurable(() => queue.add(job(sequence)))).toEqual([]);
  const claimed: Awaited<ReturnType<typeof claimFrom>>[] = [];
  for (const number of [1, 2, 3]) {
    expect(await notDurable(async () => claimed.push(await claimFrom(queue, number)))).toEqual([]);
  }
  const [good, failed, returned] = claimed;
  const answer = { wrapper: 'sigma', response: goodAnswer, durationMs: 1, attempts: 1 };
  expect(await notDurable(() => queue.storeAnswer(good!, good!.prompt, answer))).toEqual([]);
  expect(await notDurable(() => queue.complete(good!, scored(goodAnswer)))).toEqual([]);
  expect(await notDurable(() => queue.fail(failed!, { ...scored(goodAnswer), error: 'HTTPError: 502' }))).toEqual([]);
  expect(await notDurable(() => queue.giveBack(returned!))).toEqual([]);
  expect(await notDurable(() => queue.archive([good!.baseName]))).toEqual([]);
  expect(await notDurable(() => queue.retry())).toEqual([]);
});
