import { ActivityFailure, ApplicationFailure, CancelledFailure, RetryState } from '@temporalio/common';
import { describe, expect, it } from 'vitest';

import { progressOf } from '../../src/cli/runs/activity-progress.js';
import { agoText, durationText, localTime, parseDuration } from '../../src/cli/durations.js';
import { snapshotLine } from '../../src/cli/runs/progress-text.js';
import { problemsOf, type StatusReport } from '../../src/cli/status/status-problems.js';
import { tableText } from '../../src/cli/table.js';
import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import { outcomeText } from '../../src/cli/runs/workflow-outcome.js';
import type { ActivitySnapshot, WorkflowSnapshot } from '../../src/cli/runs/workflow-snapshot.js';

describe('durations and times', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['1.5h', 5_400_000],
    [' 2d ', 172_800_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['5', 'h', '-5m', '5 m', '1e3s', ''])('refuses %j', (text) => {
    expect(() => parseDuration(text)).toThrow('such as 90s');
  });

  it.each([
    [999, '1 s'],
    [60_000, '1 min'],
    [200_000, '3 min 20 s'],
    [7_500_000, '2 h 05 min'],
    [277_200_000, '3 d 5 h'],
  ])('says %d ms as %s', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  it('tells past from future', () => {
    const now = new Date('2026-01-31T13:00:00Z');
    expect(agoText('2026-01-31T12:59:40Z', now)).toBe('20 s ago');
    expect(agoText('2026-01-31T13:01:00Z', now)).toBe('in 1 min');
  });

  it('shows the local zone', () => {
    const moment = new Date(2026, 0, 31, 4, 5, 6);
    expect(localTime(moment.toISOString())).toBe('2026-01-31 04:05:06');
  });
});

describe('tables', () => {
  it('align by what is seen, not by colour codes', () => {
    const text = tableText(
      ['A', 'B'],
      [
        ['\u001b[31mred\u001b[39m', 'x'],
        ['longer', 'y'],
      ],
    );
    expect(text.split('\n')).toEqual(['A       B', '\u001b[31mred\u001b[39m     x', 'longer  y']);
  });
});

describe('heartbeats', () => {
  it('of the trainer become steps, loss and time left', () => {
    const details = { launch: 1, pid: 7, adopted: true, stage: 'training', step: 120, totalSteps: 400, loss: 1.23456 };
    const progress = progressOf({ ...details, tokensPerSecond: 1_200, etaSeconds: 180, epoch: null });
    expect(snapshotLine(snapshot({ progress }))).toBe(
      'daily-cycle  train  trainAdapter: training, 120 of 400 steps (30 %), loss 1.2346, 1200 tokens/s, 3 min left, adopted',
    );
  });

  it('of a rendering become images, with those refused and the seconds each takes', () => {
    const details = { stage: 'rendering', accepted: 12, planned: 40, rejected: 2, image: 'elara_013.png' };
    const progress = progressOf({ ...details, secondsPerImage: 7.43, etaSeconds: 210 });
    expect(snapshotLine(snapshot({ progress }))).toContain(
      'rendering, 12 of 40 images (30 %), 2 rejected, elara_013.png, 7.4 s/image, 3 min 30 s left',
    );
  });

  it('of kohya become steps and steps a second', () => {
    const details = { stage: 'training', step: 30, totalSteps: 600, epoch: 1, loss: 0.08713, stepsPerSecond: 1.234 };
    const progress = progressOf({ ...details, etaSeconds: 462 });
    expect(snapshotLine(snapshot({ progress }))).toContain(
      'training, 30 of 600 steps (5 %), loss 0.0871, 1.2 steps/s, 7 min 42 s left',
    );
  });

  it('of an ingest become batches, with the one it works on', () => {
    const progress = progressOf({ stage: 'importing', batch: 'b.jsonl', done: 1, total: 4, bytes: 9 });
    expect(snapshotLine(snapshot({ progress }))).toContain('importing, 1 of 4 batches (25 %), b.jsonl');
    expect(progressOf({ stage: 'listing', done: 0, total: 0 })).toMatchObject({ done: 0, total: null });
  });

  it('of an upload become bytes', () => {
    expect(progressOf({ sentBytes: 5e6, totalBytes: 2e7 })).toMatchObject({ done: 5e6, total: 2e7, unit: 'bytes' });
  });

  it('of another version never break what shows them', () => {
    expect(progressOf({ step: 'twelve', totalSteps: -1, loss: null, stage: 'training' })).toMatchObject({
      stage: 'training',
      done: null,
      loss: null,
    });
    for (const details of [undefined, null, 7, 'text', [], {}, { unknown: true }])
      expect(progressOf(details)).toBeNull();
  });
});

describe('a waiting activity', () => {
  it('says why, and when it is tried again', () => {
    const lastFailure = { code: 'GPU_BUSY', message: 'the GPU is held by run a', next: null };
    const line = snapshotLine(
      snapshot({ state: 'waiting', attempt: 3, lastFailure, nextAttemptAt: '2026-01-31T13:00:15Z' }),
    );
    expect(line).toBe('daily-cycle  train  trainAdapter: waiting, again in 15 s: the GPU is held by run a [GPU_BUSY]');
  });

  it('that was never tried waits for a worker', () => {
    const line = snapshotLine(snapshot({ state: 'waiting', since: '2026-01-31T12:59:00Z' }));
    expect(line).toBe('daily-cycle  train  trainAdapter: waiting for a worker, 1 min ago');
  });
});

describe('failures', () => {
  const thrown = ApplicationFailure.create({
    message: 'the key was rejected Next: Check server.apiKeyFile.',
    type: 'SERVER_KEY_REJECTED',
    details: [{ code: 'SERVER_KEY_REJECTED', next: 'Check server.apiKeyFile.' }],
  });
  const layered = new ActivityFailure(
    'Activity task failed',
    'ingestBatches',
    '5',
    RetryState.NON_RETRYABLE_FAILURE,
    'x',
    thrown,
  );

  it('are told by their innermost reason, with the next step apart', () => {
    expect(failureOf(layered)).toEqual({
      code: 'SERVER_KEY_REJECTED',
      message: 'the key was rejected',
      next: 'Check server.apiKeyFile.',
    });
  });

  it('stand in the outcome with stage and duration', () => {
    const closed = { status: 'failed', closedAt: '2026-01-31T13:00:00.000Z', result: null } as const;
    expect(outcomeText({ ...snapshot({}), ...closed, failure: failureOf(layered) })).toBe(
      'daily-cycle: failed after 1 min at stage train: the key was rejected [SERVER_KEY_REJECTED]\nnext  Check server.apiKeyFile.',
    );
    expect(
      outcomeText({ ...snapshot({}), ...closed, status: 'cancelled', failure: failureOf(new CancelledFailure('x')) }),
    ).toBe('daily-cycle: cancelled after 1 min at stage train');
    const flag = { kind: 'few-waiting', text: 'only 3 prompts wait' };
    const result = { line: 'Incoming: 3', flags: [flag], logicalTime: '2026-01-31T12:59:00.000Z' };
    const completed = { ...closed, status: 'completed', type: 'monitorQueue', result, failure: null } as const;
    expect(outcomeText({ ...snapshot({}), ...completed })).toBe(
      'daily-cycle: completed after 1 min\n  Incoming: 3\n! only 3 prompts wait',
    );
  });

  it('stand with what came of a character run, also an alias that was asked for and refused', () => {
    const lora = { outcome: 'published' as const, name: 'e-v1', file: '/l/e-v1.safetensors', sha256: 'a', bytes: 1 };
    const nothing = { images: null, captions: null, training: null, chosen: null, proof: null };
    const result = { ...nothing, outcome: 'succeeded', reason: 'e-v1 is epoch 3', dataset: '/d/Elara-v1' };
    const textOf = (published: object) =>
      outcomeText({
        ...{ ...snapshot({}), type: 'characterLora', status: 'completed', failure: null },
        ...{ closedAt: '2026-01-31T13:00:00.000Z', result: { ...result, lora: { ...lora, ...published } } },
      });
    expect(textOf({ alias: 'e.safetensors' })).toMatch(/lora: \/l\/e-v1\.safetensors and e\.safetensors$/);
    const aliasRefused = '/l/e.safetensors was not put there by Tower, so it stays';
    expect(textOf({ alias: null, aliasRefused })).toMatch(
      /lora: \/l\/e-v1\.safetensors\n {2}no alias: .* was not put there by Tower, so it stays$/,
    );
  });

  describe('stand with what came of a producer run', () => {
    const made = { written: 20, requested: 20, failed: 0, archived: 0, recovered: 0, learnedFrom: 0, paid: 0 };
    const result = { ...made, outcome: 'produced', reason: '3 prompts wait', generation: 1, simulated: false };
    const textOf = (changes: object) =>
      outcomeText({
        ...{ ...snapshot({}), type: 'producePrompts', status: 'completed', failure: null },
        ...{ closedAt: '2026-01-31T13:00:00.000Z', result: { ...result, ...changes } },
      });

    it.each([
      ['thompson', 'explored: no job of the styles and categories that are set has a score yet'],
      ['patterns', 'explored: no job in processed/ has a good score'],
      ['uniform', 'explored: the policy uniform learns nothing'],
      [undefined, 'explored: there was nothing to learn from'],
    ])('and with why one by the policy %s has learned nothing', (policy, text) => {
      expect(textOf({ policy })).toContain(text);
      expect(textOf({ policy, learnedFrom: 5 })).toContain('generation 1: learned from 5 scored jobs');
    });

    it('and with what it has cost, where anybody knows', () => {
      expect(textOf({ priced: true, paid: 0.25 })).toContain('0 jobs archived, 0.2500 USD');
      expect(textOf({ priced: false })).toContain('0 jobs archived, no price for this model');
      expect(textOf({})).toContain('0.0000 USD');
    });
  });
});

describe('problems that status names', () => {
  const worker = (identity: string) => ({ queue: 'q', identity, startedAt: null, lastHeartbeatAt: null, busy: 0 });
  const gpuQueue = { queue: 'gpu-box-0', kind: 'gpu', host: 'box', gpuIndex: 0, waiting: [] } as const;
  const report = (server: StatusReport['server']): StatusReport => ({
    ...{ time: '2026-01-31T13:00:00Z', home: '/h', server, gpus: [], runs: { total: 0, living: [] } },
    ...{ lastCycle: null, undelivered: [], champion: null, ledgerError: null, syntx: null },
  });
  const reachable = (queue: Extract<StatusReport['server'], { reachable: true }>['queues'][number]) =>
    report({
      ...{ reachable: true, address: 'a', namespace: 'n', uiAddress: null },
      queues: [queue],
      workflows: [],
      schedules: [],
    });

  it('two workers for one GPU in one line with both names', () => {
    const problems = problemsOf(reachable({ ...gpuQueue, workers: [worker('gpu-0@box:1'), worker('gpu-0@box:2')] }));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^GPU 0 of box: 2 workers \(gpu-0@box:1, gpu-0@box:2\)/);
  });

  it('a GPU without a worker', () => {
    expect(problemsOf(reachable({ ...gpuQueue, workers: [] }))[0]).toMatch(/^GPU 0 of box: no worker; its work waits/);
  });

  it('none when one worker serves it', () => {
    expect(problemsOf(reachable({ ...gpuQueue, workers: [worker('gpu-0@box:1')] }))).toEqual([]);
  });
});

function snapshot(activity: Partial<ActivitySnapshot>): WorkflowSnapshot {
  return {
    time: '2026-01-31T13:00:00.000Z',
    ...{
      workflowId: 'daily-cycle',
      runId: 'r',
      type: 'dailyCycle',
      status: 'running',
      stage: 'train',
      simulated: false,
    },
    ...{ startedAt: '2026-01-31T12:59:00.000Z', closedAt: null, children: [] },
    activities: [
      {
        ...{ activity: 'trainAdapter', state: 'running', attempt: 1, since: null, lastFailure: null },
        ...{ nextAttemptAt: null, progress: null },
        ...activity,
      },
    ],
  };
}
