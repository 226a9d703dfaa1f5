import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let control: GuardedProcess;
let gpu: GuardedProcess;

/** Slow enough that commands meet a training under way. */
const slow = { train: { simulatedSecondsPerStep: 0.5 } };

beforeAll(async () => {
  machine = await DailyMachine.create({ settings: slow });
  control = await machine.tower.startControl();
  gpu = await machine.tower.startGpu();
  await machine.uploadDay(0);
});
afterAll(() => machine.close());

async function tower(...args: string[]): Promise<{ exitCode: number | undefined; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await machine.tower.tower(...args);
  return { exitCode, stdout: String(stdout), stderr: String(stderr) };
}

async function json(...args: string[]): Promise<{ exitCode: number | undefined; value: unknown }> {
  const { exitCode, stdout } = await tower(...args, '--json');
  return { exitCode, value: JSON.parse(stdout) as unknown };
}

interface Status {
  server: { queues: { queue: string; workers: { identity: string }[] }[]; workflows: unknown[] };
  problems: string[];
}

const status = async () => (await json('status')).value as Status;
const workersOf = ({ server }: Status, queue: string) =>
  server.queues.find((candidate) => candidate.queue === queue)?.workers ?? [];

describe('schedules', () => {
  it('are planned, applied, paused with a reason and let go on', async () => {
    const changes = (change: string) => ({
      exitCode: 0,
      value: { changes: ['tower-daily', 'tower-housekeeping'].map((id) => ({ id, change })) },
    });
    expect(await json('schedule', 'apply', '--dry-run')).toMatchObject(changes('create'));
    expect(await json('schedule', 'apply')).toMatchObject(changes('create'));
    expect(await json('schedule', 'apply')).toMatchObject(changes('unchanged'));
    await tower('schedule', 'pause', 'daily', '--note', 'gaming night');
    expect((await tower('schedule', 'list')).stdout).toMatch(/^daily +paused .*gaming night$/m);
    expect((await tower('schedule', 'unpause', 'daily')).stdout).toMatch(/^daily +active/m);
    expect(await tower('schedule', 'trigger', 'weekly')).toMatchObject({ exitCode: 5 });
  });
});

describe('status', () => {
  it('is 0 when every queue has its worker', async () => {
    const well = await waitUntil('a status without problems', async () => {
      const { exitCode, value } = await json('status');
      return exitCode === 0 && (value as Status);
    });
    expect(well.problems).toEqual([]);
    expect(workersOf(well, 'gpu-box-0')).toHaveLength(1);
  });

  it('is whole where the driver of the GPUs does not answer, and says so', async () => {
    const nvidiaSmi = join(machine.tower.home, 'nvidia-smi');
    await writeFile(nvidiaSmi, '#!/bin/sh\nexit 9\n', { mode: 0o755 });
    const sick = [`gpu.nvidiaSmi=${nvidiaSmi}`, 'gpu.devices="auto"'].flatMap((setting) => ['--set', setting]);
    expect(await json('status', ...sick)).toMatchObject({
      exitCode: 6,
      value: {
        server: { reachable: true, queues: [{ kind: 'tower' }, { kind: 'host', workers: [{}] }, { kind: 'gpu' }] },
        gpus: [{ state: 'unknown' }],
        problems: [
          expect.stringMatching(
            /\[NVIDIA_SMI_FAILED\].*no GPU is to be used, set `gpu.nvidiaSmi` to `none`/s,
          ) as string,
        ],
      },
    });
  });

  it('names two workers of one GPU, and forgets the one that was killed', async () => {
    const second = await machine.tower.startGpu();
    const double = await waitUntil('a second worker', async () => {
      const seen = await status();
      return workersOf(seen, 'gpu-box-0').length === 2 && seen;
    });
    expect(double.problems).toEqual([expect.stringMatching(/^GPU 0 of box: 2 workers \(.*:\d+, .*:\d+\)/)]);
    await machine.tower.kill(second);
    // Its last report is still fresh; its process is not there.
    expect((await status()).problems).toEqual([]);
  });
});

describe('a run', () => {
  it('is started once, and a second start says how to look at the first', async () => {
    expect(await json('run', 'daily')).toMatchObject({
      exitCode: 0,
      value: { workflowId: 'daily-cycle', status: 'started' },
    });
    await machine.trainingAtStep(2);
    expect(await json('run', 'daily')).toMatchObject({
      exitCode: 6,
      value: { error: { code: 'ALREADY_RUNNING', next: expect.stringContaining('tower watch daily-cycle') as string } },
    });
  });

  it('is watched with its steps; Ctrl-C ends the watching, not the run', async () => {
    const client = join(packageRoot, 'dist', 'client.js');
    const watching = execa(process.execPath, [client, 'watch', 'daily-cycle'], {
      env: machine.tower.environment,
      extendEnv: false,
      reject: false,
    });
    let said = '';
    watching.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitUntil('a line with steps', () => /trainAdapter: training, \d+ of \d+ steps/.test(said));
    watching.kill('SIGINT');
    const ended = await watching;
    expect(ended.exitCode).toBe(130);
    expect(ended.stderr).toContain('daily-cycle goes on');
    // Housekeeping may be running too: it begins every ten minutes.
    expect((await status()).server.workflows).toContainEqual(
      expect.objectContaining({ workflowId: 'daily-cycle', stage: 'train', paused: false }),
    );
  });

  it('is paused after a saved state, shown as paused, and resumed', async () => {
    expect(await json('resume', 'daily-cycle')).toMatchObject({
      exitCode: 6,
      value: { error: { code: 'NOT_PAUSED' } },
    });
    expect(await json('pause', 'daily-cycle')).toMatchObject({ exitCode: 0, value: { state: 'saved' } });
    expect((await status()).server.workflows).toContainEqual(
      expect.objectContaining({ workflowId: 'daily-cycle', paused: true }),
    );
    expect((await json('status')).value).toMatchObject({ gpus: [{ state: 'free' }] });
    expect(await tower('resume', 'daily-cycle')).toMatchObject({ exitCode: 0 });
    const launch = await machine.livingLaunch();
    expect(launch.spec.generation).toBe(1);
  });

  it('is cancelled with nothing left behind, and then does not run', async () => {
    const { exitCode, value } = await json('cancel', 'daily-cycle');
    expect({ exitCode, value }).toMatchObject({ exitCode: 0, value: { status: 'cancelled' } });
    expect((await json('status')).value).toMatchObject({ gpus: [{ state: 'free' }], runs: { living: [] } });
    expect(await json('cancel', 'daily-cycle')).toMatchObject({
      exitCode: 6,
      value: { error: { code: 'NOT_RUNNING' } },
    });
    expect((await tower('watch', 'daily-cycle')).exitCode).toBe(1);
    expect((await tower('watch', 'no-such-workflow')).exitCode).toBe(5);
  });

  it('is not waited for longer than asked; the work goes on', async () => {
    const { exitCode, stderr } = await tower('run', 'daily', '--wait', '--timeout', '1s');
    expect(exitCode).toBe(7);
    expect(stderr).toContain('it goes on');
    await machine.trainingAtStep(1);
  });

  it('has a trainer that can be stopped while Tower is down', async () => {
    const { run } = (await machine.livingLaunch()).spec;
    await machine.tower.kill(gpu);
    await machine.tower.kill(control);
    expect(await json('trainer', 'stop', run)).toMatchObject({ exitCode: 0, value: { run, stopped: true } });
    expect(await json('trainer', 'stop', run)).toMatchObject({ exitCode: 5 });
    expect((await json('status')).value).toMatchObject({ runs: { living: [] } });

    // With the workers back, the cycle that waited for it says why it ends.
    const server = { url: machine.signz.address, deliverSimulated: true };
    await machine.tower.configure({ server, train: { simulatedSecondsPerStep: 0.01 } });
    control = await machine.tower.startControl();
    gpu = await machine.tower.startGpu();
    const lines = (await tower('watch', 'daily-cycle', '--json')).stdout
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines.at(-1)).toMatchObject({ event: 'outcome', status: 'failed', failure: { code: 'RUN_STOPPED' } });
  });

  it('ends with 0, its result and its deliveries when it is waited for', async () => {
    const { exitCode, value } = await json('run', 'daily', '--force', '--wait');
    expect({ exitCode, value }).toMatchObject({
      exitCode: 0,
      value: {
        status: 'completed',
        failure: null,
        result: { outcome: 'trained', simulated: true },
        deliveries: [{ status: 'completed' }],
      },
    });
    expect((await json('status')).value).toMatchObject({ lastCycle: { outcome: 'trained' }, undelivered: [] });
  });

  it('W16: ends with 1 and the reason when it fails', async () => {
    const { exitCode, stdout } = await tower('run', 'daily', '--host', 'nowhere', '--wait');
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /^daily-cycle: failed after .* no GPU host is called nowhere; there are: .* \[UNKNOWN_HOST\]\nnext /,
    );
  });

  it('W16: has left its lines in the log', async () => {
    const { stdout } = await tower('logs', '--run', 'daily-cycle', '--json', '-n', '1000');
    const activities = stdout.split('\n').map((line) => (JSON.parse(line) as { activity?: string }).activity);
    expect(activities).toEqual(expect.arrayContaining(['ingestBatches', 'trainAdapter', 'recordCycle']));
  });
});
