import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { msToTs, optionalTsToMs } from '@temporalio/common/lib/time.js';
import { afterAll, expect, it } from 'vitest';

import { startPromptTick, type PromptTickInput, type PromptTickResult } from '../../src/client.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import type { ConsumePromptsResult } from '../../src/workflows/consume.js';
import { consumeWorkflowId, promptWorkflowIds } from '../../src/workflows/names.js';
import type { ProducePromptsResult } from '../../src/workflows/produce.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { waitUntil } from '../support/wait-until.js';

/** A day of the guide: hour by hour, the producer first where both start in the same minute. */
const producerHours = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22];
const consumerHours = new Map([[3, 'syntex_system'], ...[4, 10, 16, 22].map((hour) => [hour, 'sigma'] as const)]);

function ticksOf(day: number): PromptTickInput[] {
  return Array.from({ length: 24 }, (_, hour) => ticksAt(day, hour)).flat();
}

function ticksAt(day: number, hour: number): PromptTickInput[] {
  const scheduledTime = new Date(Date.UTC(2026, 0, day, hour)).toISOString();
  const wrapper = consumerHours.get(hour);
  const produce: PromptTickInput[] = producerHours.includes(hour) ? [{ kind: 'produce', scheduledTime }] : [];
  const consume: PromptTickInput[] = wrapper === undefined ? [] : [{ kind: 'consume', wrapper, scheduledTime }];
  return [...produce, ...consume];
}

/** What the ticks of a day have made and handled. */
class DayCount {
  prompts = 0;
  handled = 0;
  settled = 0;

  add(ended: PromptTickResult): void {
    if (ended.outcome === 'skipped') throw new Error(ended.reason);
    if (ended.kind === 'produce') {
      this.prompts += (ended.result as ProducePromptsResult).written;
    } else {
      const { claimed, processed, low, unscored } = ended.result as ConsumePromptsResult;
      this.handled += claimed;
      this.settled += processed + low + unscored;
    }
  }
}

async function liveThrough(machine: SyntxMachine, day: number): Promise<DayCount> {
  const count = new DayCount();
  for (const tick of ticksOf(day)) count.add(await machine.tick(tick));
  return count;
}

async function jobs(machine: SyntxMachine): Promise<number> {
  return Object.values(await machine.levels()).reduce((sum, count) => sum + count, 0);
}

const machines: SyntxMachine[] = [];
afterAll(() => Promise.all(machines.map((machine) => machine.close())));

async function newMachine(options: Parameters<typeof SyntxMachine.create>[0] = {}): Promise<SyntxMachine> {
  const machine = await SyntxMachine.create({ inMemory: true, ...options });
  machines.push(machine);
  return machine;
}

// Side by side: the one that is killed mostly waits.
const timeout = 400_000;

it.concurrent(
  'with the rule of 24: 120 prompts on the first day, 100 a day then; 100 handled each, none lost',
  { timeout },
  async () => {
    const machine = await newMachine();
    await machine.tower.startControl();
    expect(await liveThrough(machine, 5)).toEqual({ prompts: 120, handled: 100, settled: 100 });
    expect(await jobs(machine)).toBe(120);
    expect(await liveThrough(machine, 6)).toEqual({ prompts: 100, handled: 100, settled: 100 });
    expect(await jobs(machine)).toBe(220);
    expect(await machine.faults()).toEqual([]);
    // Every call of the service was one prompt, and no prompt was called for twice.
    const answered = machine.service.calls().filter(({ total }) => total !== null);
    expect(new Set(answered.map(({ prompt }) => prompt)).size).toBe(200);
    expect(answered).toHaveLength(200);
  },
);

it.concurrent('without the rule: 240 prompts a day, 100 handled', { timeout }, async () => {
  const machine = await newMachine();
  const { settings } = machine;
  await machine.configure({ syntx: { ...settings, generation: { baseUrl: machine.llm.address, fillRule: 'off' } } });
  await machine.tower.startControl();
  expect(await liveThrough(machine, 7)).toEqual({ prompts: 240, handled: 100, settled: 100 });
  expect(await jobs(machine)).toBe(240);
  expect(await machine.faults()).toEqual([]);
});

const killer = fileURLToPath(new URL('../faults/fixtures/die-at-point.js', import.meta.url));

/** A prompt is two renames into the queue, and so many of one run have gone there when its worker dies. */
const halfPublished = 'publishPrompts rename 23 @3';
const halfGenerated = 'generatePrompts rename 15 @5';

/** Where the worker is killed -9 during the day; ` @3`: the third time it comes there. */
const points = [
  // At midnight: half in the queue, and recorded but not marked as published.
  ...['publishPrompts rename 21', 'publishPrompts append 2'],
  // At two: decided but not reported; while it sets a broken prompt aside.
  ...['decideProduction after @2', 'cleanQueue rename 1'],
  // Between the files of a settled job, between those and the log, between claim and lease.
  ...['calibratePrompt rename 4 @30', 'calibratePrompt append 3 @45', 'claimPrompt rename 2 @50'],
  // Between the files of the first job that is archived.
  'publishPrompts rename 43',
  ...[halfPublished, halfGenerated],
];

/** Workers that die at the points, and are started again until the day is over. */
class DeadlyDay {
  readonly machine: SyntxMachine;
  #worker: GuardedProcess | undefined;
  #isOver = false;
  readonly #living: Promise<void>;

  private constructor(machine: SyntxMachine) {
    this.machine = machine;
    this.#living = this.#live();
  }

  static async begin(): Promise<DeadlyDay> {
    const machine = await newMachine({
      // Everything is old enough to be cleaned away.
      settings: { worker: { heartbeatSeconds: 0.5 }, syntx: { clean: { temporaryHours: 1e-6, brokenHours: 1e-6 } } },
    });
    return new DeadlyDay(machine);
  }

  get deaths(): string[] {
    const file = join(this.machine.tower.home, 'deaths');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  }

  async reached(point: string): Promise<void> {
    await waitUntil(`the death at ${point}`, () => this.deaths.includes(point));
  }

  async kill(): Promise<void> {
    if (this.#worker !== undefined) await this.machine.tower.kill(this.#worker);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.machine.tower.stopWorkers();
    await this.#living;
  }

  async #live(): Promise<void> {
    const environment = {
      NODE_OPTIONS: `--import ${killer}`,
      DEATH_POINTS: JSON.stringify(points),
      DEATHS: join(this.machine.tower.home, 'deaths'),
    };
    while (!this.#isOver) {
      this.#worker = await this.machine.tower.startControl(environment);
      await this.#worker.exited;
      if (!this.#isOver) await this.#giveUpForDead();
    }
  }

  /** The server waits half a minute for an activity that does not heartbeat, and longer for the clean-up: told, it does not. */
  async #giveUpForDead(): Promise<void> {
    const { client } = this.machine.tower;
    const consumers = ['syntex_system', 'sigma'].map(consumeWorkflowId);
    for (const workflowId of [...Object.values(promptWorkflowIds), ...consumers]) {
      const workflow = client.workflow.getHandle(workflowId);
      // One that has not begun yet, or has ended meanwhile, waits for nothing.
      const { raw } = (await workflow.describe().catch(() => undefined)) ?? {};
      const waiting = raw?.pendingActivities?.filter(({ activityOptions }) => isPatient(activityOptions)) ?? [];
      for (const { activityId } of waiting) {
        const update = client.workflowService.updateActivityOptions({
          ...{ namespace: 'default', execution: { workflowId }, id: activityId ?? '' },
          activityOptions: { startToCloseTimeout: msToTs('5 s'), heartbeatTimeout: msToTs('5 s') },
          updateMask: { paths: ['start_to_close_timeout', 'heartbeat_timeout'] },
        });
        await update.catch(() => undefined);
      }
    }
  }
}

type Duration = Parameters<typeof optionalTsToMs>[0];

function isPatient(
  options: { readonly heartbeatTimeout?: Duration; readonly startToCloseTimeout?: Duration } | null | undefined,
): boolean {
  const [heartbeat, limit] = [options?.heartbeatTimeout, options?.startToCloseTimeout].map(
    (time) => optionalTsToMs(time) ?? 0,
  );
  return heartbeat === 0 ? limit === 30_000 : (heartbeat ?? 0) > 10_000;
}

it.concurrent('killed -9 all over the day: the same prompts made, handled and kept', { timeout }, async () => {
  const day = await DeadlyDay.begin();
  const { machine } = day;
  const count = new DayCount();
  for (let hour = 0; hour < 24; hour++) {
    const ticks = ticksAt(5, hour);
    const [tick] = ticks;
    switch (hour) {
      case 2:
        await plantBrokenJob(machine);
        expect(await machine.tick({ kind: 'clean' })).toMatchObject({ result: { broken: 1 } });
        break;
      case 6: {
        // The server loses the run, as with a deleted database, while more than 24 wait for it; its firing comes again.
        const lost = await startPromptTick(machine.tower.client, tick!);
        await day.reached(halfPublished);
        for (const id of [lost.workflowId, promptWorkflowIds.produce]) {
          await machine.tower.client.workflow
            .getHandle(id)
            .terminate('lost')
            .catch(() => undefined);
        }
        const again = await machine.tick(tick!);
        expect(again).toMatchObject({ result: { reason: expect.stringContaining('goes on with produce-') as string } });
        count.add(again);
        continue;
      }
      case 12: {
        // Killed while it generates; another firing meanwhile.
        const first = await startPromptTick(machine.tower.client, tick!);
        await day.reached(halfGenerated);
        const second = await machine.tick({ kind: 'produce', scheduledTime: '2026-01-05T12:30:00.000Z' });
        const none = { outcome: 'ran', result: { written: 0, outcome: 'skipped' } };
        expect(second).toMatchObject(second.outcome === 'skipped' ? { outcome: 'skipped' } : none);
        count.add(await first.result());
        continue;
      }
      case 22:
        machine.service.faults = [{ times: 1, fault: { kind: 'slow', delayMs: 600_000 } }];
    }
    for (const one of ticks) {
      const started = await startPromptTick(machine.tower.client, one);
      if (hour === 22 && one.kind === 'consume') {
        await waitUntil('a call of the model', () => machine.service.calls().some(({ fault }) => fault === 'slow'));
        await day.kill();
      }
      count.add(await started.result());
    }
  }
  await day.end();

  expect(day.deaths.toSorted()).toEqual(points.toSorted());
  expect(count).toEqual({ prompts: 120, handled: 100, settled: 100 });
  const { incoming, processing, processed, error, archive } = await machine.levels();
  expect({ incoming, processing, done: processed + error + archive }).toEqual({
    incoming: 20,
    processing: 0,
    done: 100,
  });
  expect(await machine.faults()).toEqual([]);
  expect(await machine.jobs('.broken')).toEqual([broken]);

  // At most the calls that were under way at a kill were made again.
  const answered = machine.service.calls();
  expect(new Set(answered.map(({ prompt }) => prompt)).size).toBe(100);
  expect(answered.length).toBeLessThanOrEqual(100 + 4 * 4);
  // Every call that made a prompt made one that is here: what was kept is not paid for twice. On record are all calls, also for
  // prompts that came out too similar to another one, but for those under way when the worker died that generated.
  const calls = (await machine.log('gpt_prompts.jsonl'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { success: boolean; prompt_out: string });
  const texts = await machine.prompts();
  expect(calls.filter(({ success, prompt_out: text }) => success && !texts.has(text))).toEqual([]);
  const parallelism = 4;
  expect(machine.llm.requests.length).toBeLessThanOrEqual(calls.length + parallelism);
  // Everything stands in its log once.
  const logged = async (name: string, pattern: RegExp) => (await machine.log(name)).match(pattern) ?? [];
  expect(await logged('consumer_sigma_cron.log', /^Processing: /gm)).toHaveLength(80);
  expect(await logged('consumer_syntex_cron.log', /^Processing: /gm)).toHaveLength(20);
  expect(await logged('consumer_sigma_cron.log', /BATCH COMPLETE/g)).toHaveLength(4);
  expect(await logged('syntex_calibrations.jsonl', /\n/g)).toHaveLength(100);
  expect(await logged('generations.jsonl', /\n/g)).toHaveLength(6);
  expect(await logged('producer_cron.log', /Written: 20 to/g)).toHaveLength(6);
  expect(await logged('cleanup.log', new RegExp(broken, 'g'))).toHaveLength(2);
});

const broken = '20260104_040010_464000__topic_harmlos__style_casual';

async function plantBrokenJob(machine: SyntxMachine): Promise<void> {
  const directory = join(machine.queue, 'error');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${broken}.txt`), 'its metadata never came');
}
