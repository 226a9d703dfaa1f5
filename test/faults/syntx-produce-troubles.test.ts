import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';

import { startProducePrompts, type ProducePromptsInput } from '../../src/client.js';
import { llmFaultsFromRules } from '../../src/sims/llm/faults.js';
import { landscapeSchema } from '../../src/sims/syntx/landscape.js';
import { patienceMs } from '../../src/syntx/generation/time-limits.js';
import { promptWorkflowIds } from '../../src/workflows/names.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { waitUntil } from '../support/wait-until.js';

const fixture = fileURLToPath(new URL('fixtures/troubled-worker.mjs', import.meta.url));

/** Of the endpoint, at the same time; that many are under way when something goes wrong. */
const parallelism = 4;
const count = 8;
/** Writes below the queue for one new prompt: two files, each opened and renamed. */
const callsOfPrompt = 4;
/** Writes below the runs' folders for a prompt that is paid: itself and its cost, and the folders of both. */
const callsOfKept = 5;
/** For the number of a generation that has learned: its folder, the file, opened and renamed. */
const callsOfNumber = 3;
/** For a job that is archived: what is to be done, opened and renamed, and its three files. */
const callsOfMove = 5;

let machine: SyntxMachine;
let runs: string;

beforeAll(async () => {
  machine = await SyntxMachine.create({
    ...{ inMemory: true, llm: { latencyMs: 200 } },
    // A slow model: its calls alone would have most of a day.
    settings: { syntx: { generation: { parallelism, timeoutSeconds: 3600 } } },
  });
  machine.service.landscape = landscapeSchema.parse({ means: {}, noise: 0, otherwise: 100 });
  runs = join(machine.tower.home, 'syntx');
  await machine.tower.startControl({
    NODE_OPTIONS: `--import=${fixture}`,
    TOWER_TEST_TROUBLE: join(machine.root, 'trouble'),
    TOWER_TEST_TROUBLED: machine.queue,
  });
});
beforeEach(async () => {
  expect(await machine.faults()).toEqual([]);
});
afterAll(() => machine.close());

/** @param goodCalls so many writes there go well before. */
async function meet(code: 'ENOSPC' | 'EACCES', directory: string, goodCalls = 0): Promise<void> {
  await writeFile(join(machine.root, 'trouble'), `${code} ${directory} ${goodCalls}`);
}

async function noTrouble(): Promise<void> {
  await rm(join(machine.root, 'trouble'));
}

const start = (input: ProducePromptsInput = {}) =>
  startProducePrompts(machine.tower.client, { count, force: true, ...input });

/** What the producer's present activity waits for, as `describe` and the Web UI show it. */
interface Wait {
  readonly activity: string;
  readonly message: string;
  /** When the attempt failed, in milliseconds since 1970. */
  readonly failedAt: number;
}

/** @param since of an earlier wait: a later attempt has failed, too. */
async function waiting(type: string, since = 0): Promise<Wait> {
  return waitUntil(`a wait after ${type}`, async () => {
    const { raw } = await machine.tower.client.workflow.getHandle(promptWorkflowIds.produce).describe();
    const [activity] = raw.pendingActivities ?? [];
    const { message, applicationFailureInfo } = activity?.lastFailure ?? {};
    const failedAt = optionalTsToMs(activity?.lastAttemptCompleteTime) ?? 0;
    const isAtWork = String(activity?.state) === 'PENDING_ACTIVITY_STATE_STARTED';
    if (isAtWork || applicationFailureInfo?.type !== type || failedAt <= since) return undefined;
    return { activity: activity?.activityType?.name ?? '', message: message ?? '', failedAt };
  });
}

/** A retry that waits a minute is made at once. */
async function retryNow({ activity: type }: Wait): Promise<void> {
  const execution = { workflowId: promptWorkflowIds.produce };
  await machine.tower.client.workflowService.resetActivity({ namespace: 'default', execution, type });
}

async function kept(): Promise<number> {
  const names = await Promise.all(
    (await readdir(runs).catch(() => [])).map((run) => readdir(join(runs, run, 'prompts')).catch(() => [])),
  );
  return names.flat().filter((name) => /^\d+\.json$/.test(name)).length;
}

/** Texts of all jobs, wherever they are. */
async function prompts(): Promise<string[]> {
  const stages = ['incoming', 'processed', 'archive', 'error'] as const;
  const names = await Promise.all(
    stages.map(async (stage) => (await machine.jobs(stage)).map((name) => join(stage, name))),
  );
  return Promise.all(names.flat().map((name) => readFile(join(machine.queue, `${name}.txt`), 'utf8')));
}

async function expectNewPrompts(before: readonly string[], expected: number): Promise<void> {
  const after = await prompts();
  expect(after).toHaveLength(before.length + expected);
  expect(new Set(after).size).toBe(after.length);
}

async function recordedRuns(): Promise<string[]> {
  const lines = (await machine.log('generations.jsonl')).trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { run: string }).run);
}

/** So many prompts that wait are answered, all of them well. */
async function answer(batch: number): Promise<void> {
  const consumed = await machine.tick({ kind: 'consume', wrapper: 'sigma', batch });
  expect(consumed).toMatchObject({ result: { processed: batch } });
}

it('a disk that is full while it pays: it waits, pays for nothing that it cannot keep, and goes on', async () => {
  // The plan, a trial, and some of the first prompts.
  await meet('ENOSPC', runs, 3 + 3 + 2 * callsOfKept);
  const run = await start();
  const wait = await waiting('DISK_FULL');
  expect(wait).toMatchObject({
    activity: 'generatePrompts',
    message: expect.stringContaining(`no space left on the disk while writing ${runs}`) as string,
  });
  const paid = machine.llm.requests.length;
  await retryNow(wait);
  const again = await waiting('DISK_FULL', wait.failedAt);
  expect(machine.llm.requests).toHaveLength(paid);
  await noTrouble();
  await retryNow(again);
  expect(await run.result()).toMatchObject({ outcome: 'produced', written: count, failed: 0, recovered: 0 });
  expect(paid).toBeLessThanOrEqual(count + parallelism);
  await expectNewPrompts([], count);
});

it('a disk that is full while it writes the queue: it goes on where it was, and archives nothing before', async () => {
  await answer(6);
  const before = await prompts();
  const paid = machine.llm.requests.length;
  // Three prompts, and the metadata of the fourth.
  await meet('ENOSPC', machine.queue, callsOfNumber + 3 * callsOfPrompt + 2);
  const run = await start();
  const wait = await waiting('DISK_FULL');
  expect(wait).toMatchObject({
    activity: 'publishPrompts',
    message: expect.stringContaining(`no space left on the disk of the queue ${machine.queue}`) as string,
  });
  expect(await machine.levels()).toMatchObject({ incoming: 2 + 3, processed: 6, archive: 0 });
  await noTrouble();
  await retryNow(wait);
  expect(await run.result()).toMatchObject({ written: count, failed: 0, learnedFrom: 6, archived: 6 });
  expect(machine.llm.requests).toHaveLength(paid + count);
  expect(await machine.levels()).toMatchObject({ incoming: 2 + count, processed: 0, archive: 6 });
  await expectNewPrompts(before, count);
});

it('a disk that is full while it archives: every new prompt is there by then, and the run stands in the log once', async () => {
  await answer(5);
  const before = await prompts();
  const recorded = await recordedRuns();
  // The new prompts, the first archived job, and a part of the second.
  await meet('ENOSPC', machine.queue, callsOfNumber + count * callsOfPrompt + callsOfMove + 2);
  const run = await start();
  const wait = await waiting('DISK_FULL');
  expect(wait).toMatchObject({ activity: 'publishPrompts' });
  await expectNewPrompts(before, count);
  expect(await recordedRuns()).toEqual(recorded);
  await noTrouble();
  await retryNow(wait);
  const { run: name } = await run.result();
  expect(await machine.levels()).toMatchObject({ processed: 0, archive: 6 + 5 });
  await expectNewPrompts(before, count);
  expect(await recordedRuns()).toEqual([...recorded, name]);
});

it('a queue that it may not write ends it, with the path; what it has paid for is there with the next run', async () => {
  await answer(3);
  const before = await prompts();
  await meet('EACCES', machine.queue, callsOfNumber + 3 * callsOfPrompt + 2);
  const run = await start();
  await expect(run.result()).rejects.toMatchObject({
    cause: { cause: { type: 'QUEUE_FORBIDDEN', message: expect.stringContaining(machine.queue) as string } },
  });
  expect(await machine.levels()).toMatchObject({ processed: 3, archive: 11 });
  await noTrouble();
  const paid = machine.llm.requests.length;
  expect(await (await start({ count: 2 })).result()).toMatchObject({ recovered: count - 3, written: 2 });
  expect(machine.llm.requests).toHaveLength(paid + 2);
  expect(await machine.levels()).toMatchObject({ processed: 0, archive: 14 });
  await expectNewPrompts(before, count + 2);
});

it.each([
  // The plan, a trial and so many calls that of those under way together some have come to their end; two lines of the first call.
  ['a state directory', 'STATE_FORBIDDEN', () => runs, 3 + 3 + parallelism * callsOfKept],
  ['a log', 'LOG_FORBIDDEN', () => join(machine.root, 'logs'), 4],
])(
  '%s that it may not write ends it, with the path; nothing that is paid is lost',
  async (_what, type, place, calls) => {
    const before = await prompts();
    await meet('EACCES', place(), calls);
    const run = await start();
    await expect(run.result()).rejects.toMatchObject({
      cause: { cause: { type, message: expect.stringContaining(place()) as string } },
    });
    await noTrouble();
    const recovered = await kept();
    expect(recovered).toBeGreaterThanOrEqual(1);
    expect(await (await start({ count: 2 })).result()).toMatchObject({ recovered, written: 2 });
    await expectNewPrompts(before, recovered + 2);
  },
);

it('an endpoint that is away for an hour and a half ends it, with what to do, and the next run makes its prompts', async () => {
  machine.llmFaults = llmFaultsFromRules([{ times: 999, fault: { kind: 'cut', when: 'before-answer' } }]);
  const run = await start();
  const wait = await waiting('LLM_UNREACHABLE');
  expect(wait).toMatchObject({ activity: 'generatePrompts' });
  await writeFile(join(machine.root, 'trouble'), `CLOCK ${patienceMs / 1000}`);
  await retryNow(wait);
  await expect(run.result()).rejects.toMatchObject({
    cause: {
      cause: {
        ...{ type: 'LLM_UNREACHABLE', nonRetryable: true },
        message: expect.stringMatching(/no completion from the endpoint for 9\d minutes.* Next: .*baseUrl/) as string,
      },
    },
  });
  machine.llmFaults = llmFaultsFromRules([]);
  await noTrouble();
  expect(await (await start()).result()).toMatchObject({ outcome: 'produced', written: count, recovered: 0 });
});
