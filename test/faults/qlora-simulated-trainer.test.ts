import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa } from 'execa';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createQloraDriver, createSimulatedQloraDriver } from '../../src/qlora/driver.js';
import { qloraHyperparametersSchema, type QloraHyperparametersInput } from '../../src/qlora/hyperparameters.js';
import type { Simulation } from '../../src/sims/qlora-trainer/config.js';
import type { Checkpoint, TrainerDriver, TrainerExit } from '../../src/training/trainer-driver.js';
import type { TrainerEvent } from '../../src/training/trainer-events.js';
import { waitUntil } from '../support/wait-until.js';

const log = pino({ level: 'silent' });
const processGroups = new Set<number>();
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterEach(async () => {
  for (const group of processGroups) killGroup(group);
  processGroups.clear();
  await rm(home, { recursive: true });
});

interface Run {
  readonly runDirectory: string;
  readonly driver: TrainerDriver;
}

async function makeRun(name: string, simulation: Simulation = {}, input: QloraHyperparametersInput = {}): Promise<Run> {
  const runDirectory = join(home, name);
  const rows = Array.from({ length: 40 }, (_, n) => JSON.stringify({ prompt: `p${n} `, completion: `c${n}` }));
  await mkdir(join(runDirectory, 'dataset'), { recursive: true });
  await writeFile(join(runDirectory, 'dataset', 'train.jsonl'), `${rows.join('\n')}\n`);
  await writeFile(join(runDirectory, 'dataset', 'heldout.jsonl'), `${rows.slice(0, 4).join('\n')}\n`);
  const config = qloraHyperparametersSchema.parse({
    checkpointEverySteps: 2,
    batchSize: 2,
    gradientAccumulation: 1,
    ...input,
  });
  const driver = createSimulatedQloraDriver({
    runDirectory,
    config,
    log,
    simulation: { secondsPerStep: 0.005, ...simulation },
  });
  await driver.prepare();
  return { runDirectory, driver };
}

interface Launch {
  readonly events: TrainerEvent[];
  readonly exit: TrainerExit;
  readonly stderr: string;
}

interface LaunchOptions {
  readonly resumeFrom?: Checkpoint | undefined;
  readonly memoryRung?: number;
  /** Called with every event and the process id. */
  readonly onEvent?: (event: TrainerEvent, pid: number) => void;
  readonly onStderr?: (text: string) => void;
}

async function launch({ driver }: Run, options: LaunchOptions = {}): Promise<Launch> {
  const { argv, workingDirectory, environment } = driver.command({
    resumeFrom: options.resumeFrom,
    memoryRung: options.memoryRung ?? 0,
  });
  const [file, ...args] = argv;
  const child = execa(file, args, { cwd: workingDirectory, env: environment, detached: true, reject: false });
  const pid = child.pid ?? 0;
  processGroups.add(pid);
  child.stderr.setEncoding('utf8').on('data', (text: string) => options.onStderr?.(text));
  const events: TrainerEvent[] = [];
  const parse = driver.createParser();
  for await (const line of child.iterable({ from: 'stdout' })) {
    for (const event of parse(line, 'stdout')) {
      events.push(event);
      options.onEvent?.(event, pid);
    }
  }
  const { exitCode, signal, stderr } = await child;
  return { events, exit: { code: exitCode, signal }, stderr };
}

function at(step: number, act: (pid: number) => void): NonNullable<LaunchOptions['onEvent']> {
  return (event, pid) => {
    if (event.event === 'step' && event.step === step) act(pid);
  };
}

function stepsOf({ events }: Launch): number[] {
  return events.flatMap((event) => (event.event === 'step' ? [event.step] : []));
}

function weightsOf({ runDirectory }: Run): Promise<Buffer> {
  return readFile(join(runDirectory, 'output', 'adapter', 'adapter_model.safetensors'));
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const allSteps = Array.from({ length: 20 }, (_, index) => index + 1);

test('an undisturbed run reports every step and leaves a valid adapter that says it is simulated', async () => {
  const run = await makeRun('plain');
  const done = await launch(run);
  expect(done.exit).toMatchObject({ code: 0 });
  expect(done.events[0]).toMatchObject({ event: 'start', resumedFromStep: 0, totalSteps: 20, simulated: true });
  expect(stepsOf(done)).toEqual(allSteps);
  expect(done.events.slice(-2)).toMatchObject([
    { event: 'eval', samples: 4 },
    { event: 'done', step: 20 },
  ]);
  expect(await run.driver.checkArtefact()).toMatchObject({
    valid: true,
    path: join(run.runDirectory, 'output', 'adapter'),
  });
  const config = qloraHyperparametersSchema.parse({});
  const real = createQloraDriver({ runDirectory: run.runDirectory, python: 'python3', config, log });
  expect(await real.checkArtefact()).toMatchObject({
    valid: false,
    reason: expect.stringContaining('simulated trainer') as string,
  });
  expect((await launch(run, { memoryRung: 1 })).events).toMatchObject([{ event: 'done', step: 20 }]);
});

test('killed in the middle, it resumes from its newest complete state to the same bytes', async () => {
  const plain = await makeRun('plain');
  await launch(plain);
  const run = await makeRun('disturbed');
  const killed = await launch(run, { onEvent: at(9, (pid) => process.kill(pid, 'SIGKILL')) });
  expect(killed.exit.signal).toBe('SIGKILL');
  expect(run.driver.classify(killed.exit, killed.events, killed.stderr)).toBe('killed');
  const [newest, older] = await run.driver.completeCheckpoints();
  expect(newest?.step).toBeGreaterThanOrEqual(8);
  expect(older?.step).toBeLessThan(newest?.step ?? 0);
  const resumed = await launch(run, { resumeFrom: newest });
  expect(stepsOf(resumed)).toEqual(allSteps.slice(newest?.step));
  expect(await weightsOf(run)).toEqual(await weightsOf(plain));
  const other = await makeRun('other', {}, { seed: 7 });
  await launch(other);
  expect(await weightsOf(other)).not.toEqual(await weightsOf(plain));
});

test('SIGUSR1 pauses with a complete state, from which it goes on', async () => {
  const run = await makeRun('paused', {}, { checkpointEverySteps: null });
  const paused = await launch(run, { onEvent: at(7, (pid) => process.kill(pid, 'SIGUSR1')) });
  expect(paused.exit.code).toBe(10);
  const last = paused.events.at(-1);
  const [checkpoint] = await run.driver.completeCheckpoints();
  expect(last).toMatchObject({ event: 'stopped', step: checkpoint?.step });
  const resumed = await launch(run, { resumeFrom: checkpoint });
  expect([...stepsOf(paused), ...stepsOf(resumed)]).toEqual(allSteps);
  expect(await run.driver.checkArtefact()).toMatchObject({ valid: true });
});

test('a torn state is set aside and the complete one before it is used', async () => {
  const run = await makeRun('torn', { fault: { kind: 'torn-checkpoint', atStep: 6, onlyOnLaunch: 1 } });
  const first = await launch(run);
  expect(first.exit.signal).toBe('SIGKILL');
  const checkpoints = await run.driver.completeCheckpoints();
  expect(checkpoints.map(({ step }) => step)).toEqual([4, 2]);
  expect(await readdir(join(run.runDirectory, 'broken'))).toEqual([
    expect.stringMatching(/^checkpoint-5-[0-9a-f]{8}$/),
  ]);
  const second = await launch(run, { resumeFrom: checkpoints[0] });
  expect(stepsOf(second)).toEqual(allSteps.slice(4));
});

test('a complete state whose file was cut is no complete state', async () => {
  const run = await makeRun('cut');
  await launch(run, { onEvent: at(9, (pid) => process.kill(pid, 'SIGKILL')) });
  const [newest] = await run.driver.completeCheckpoints();
  await writeFile(join(newest?.path ?? '', 'state.json'), '{');
  expect(await run.driver.completeCheckpoints()).not.toContainEqual(newest);
});

describe('faults on demand', () => {
  test.each([
    ['out-of-memory', 23, 'out-of-memory'],
    ['disk-full', 24, 'disk-full'],
    ['diverge', 25, 'diverged'],
    ['crash', 1, 'internal'],
  ] as const)('%s exits with %i and is classified %s', async (kind, code, faultClass) => {
    const run = await makeRun(kind, { fault: { kind, atStep: 3, untilLaunch: 1 } });
    const failed = await launch(run);
    expect(failed.exit.code).toBe(code);
    expect(stepsOf(failed)).toEqual([1, 2]);
    expect(run.driver.classify(failed.exit, failed.events, failed.stderr)).toBe(faultClass);
    expect((await launch(run)).exit.code).toBe(0);
  });

  test('the environment variable reaches the trainer through the driver’s command', async () => {
    process.env['TOWER_SIMULATED_TRAINER_FAULT'] = JSON.stringify({ kind: 'killed', atStep: 2 });
    try {
      const run = await makeRun('by-environment');
      expect((await launch(run)).exit.signal).toBe('SIGKILL');
    } finally {
      delete process.env['TOWER_SIMULATED_TRAINER_FAULT'];
    }
  });

  test('a stubborn trainer outlives SIGTERM with its grandchild; SIGKILL to the group ends both', async () => {
    const run = await makeRun('stubborn', { fault: { kind: 'ignore-sigterm-with-grandchild', atStep: 2 } });
    let announcement = '';
    const running = launch(run, { onStderr: (text) => (announcement += text) });
    const members = await waitUntil('trainer and grandchild to be deaf to SIGTERM', () => {
      const [, trainer, grandchild] = /: (\d+) and its child (\d+) ignore SIGTERM/.exec(announcement) ?? [];
      return trainer !== undefined && [Number(trainer), Number(grandchild)];
    });
    const group = members[0] ?? 0;
    process.kill(-group, 'SIGTERM');
    await waitUntil('both to have had their signal', async () => !(await hasPendingSigterm(members)));
    expect(await groupMembers(group)).toEqual(members);
    process.kill(-group, 'SIGKILL');
    expect((await running).exit.signal).toBe('SIGKILL');
    await waitUntil('the end of the group', async () => (await groupMembers(group)).length === 0);
  });
});

describe('refusals', () => {
  test('of a configuration name every fault', async () => {
    const run = await makeRun('refused');
    const path = join(run.runDirectory, 'config.json');
    await writeFile(
      path,
      JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), epochs: 0, output: 3 }),
    );
    const { exit, events } = await launch(run);
    expect(exit.code).toBe(20);
    expect(events).toMatchObject([{ event: 'error', class: 'bad-config' }]);
    expect(JSON.stringify(events)).toMatch(/output: .*epochs: /);
  });

  test('of a dataset name file and line', async () => {
    const run = await makeRun('refused');
    const dataset = join(run.runDirectory, 'dataset', 'train.jsonl');
    await writeFile(dataset, '{"completion":"a"}\n{"prompt":"b"}\n');
    const { exit, events } = await launch(run);
    expect(exit.code).toBe(21);
    expect(events).toMatchObject([
      { class: 'bad-dataset', message: expect.stringContaining(`${dataset}, line 2`) as string },
    ]);
  });
});

/** Living members of a process group, by process id. */
async function groupMembers(group: number): Promise<number[]> {
  const { stdout } = await execa('ps', ['-eo', 'pid=,pgid=,stat=']);
  return stdout.split('\n').flatMap((line) => {
    const [pid, processGroup, state] = line.trim().split(/\s+/);
    return Number(processGroup) === group && state?.startsWith('Z') === false ? [Number(pid)] : [];
  });
}

/** Whether one of these processes was sent a SIGTERM that is not delivered yet. */
async function hasPendingSigterm(pids: readonly number[]): Promise<boolean> {
  const statuses = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8')));
  return statuses.some((status) => {
    const pending = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
    return (BigInt(`0x${pending}`) & (1n << 14n)) !== 0n;
  });
}
