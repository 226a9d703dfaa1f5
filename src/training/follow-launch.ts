import { setTimeout as delay } from 'node:timers/promises';

import { endGroup } from '../gpu/end-group.js';
import { isSameHolder } from '../gpu/holder-record.js';
import { probeLock } from '../gpu/kernel-lock.js';
import { isAlive, livingMembers } from '../gpu/process-table.js';
import type { ServiceOptions } from '../service-options.js';
import { LaunchFollower } from './follow.js';
import type { Launch } from './launch-record.js';
import { LaunchSummary } from './launch-summary.js';
import type { StartedLaunch } from './start-launch.js';
import type { TrainerDriver } from './trainer-driver.js';
import type { TrainerEvent } from './trainer-events.js';
import type { TrainingProgress, TrainingRequest } from './training-request.js';

const pollMs = 250;

/**
 * Follows a launch until nothing of it lives, reporting progress whenever there is output. A trainer that hangs is ended, and
 * so is one that has reported a fault and does not leave within the grace time: some go on with a loss that is NaN.
 *
 * @returns whether it was ended because it hung.
 * @throws the signal's reason as soon as it aborts; the trainer goes on.
 */
export async function followLaunch(
  request: TrainingRequest,
  { launch, adopted }: StartedLaunch,
  { signal, onProgress, log }: ServiceOptions<TrainingProgress>,
): Promise<{ stalled: boolean }> {
  const follower = new LaunchFollower(launch.files, request.driver);
  const summary = new LaunchSummary();
  let stage: TrainingProgress['stage'] = 'starting';
  let quietSince = performance.now();
  let faultySince: number | undefined;
  let orphaned = false;
  const readNews = async (ended: boolean): Promise<void> => {
    const bytesBefore = follower.bytes;
    for await (const event of follower.newEvents({ ended })) {
      summary.add(event);
      if (event.event === 'error') faultySince ??= performance.now();
      stage = stageAfter(event, request.driver.work) ?? stage;
    }
    if (follower.bytes > bytesBefore) quietSince = performance.now();
    onProgress?.(describeProgress(launch, adopted, stage, summary));
  };
  try {
    for (;;) {
      signal.throwIfAborted();
      await readNews(false);
      if (!isAlive(launch.process)) {
        if (livingMembers(launch.process).length === 0) break;
        if (!orphaned) log.warn({ launch: launch.files.number }, 'the launcher died; the trainer goes on without it');
        orphaned = true;
      }
      const { limitMs } = request.stall;
      if (performance.now() - quietSince > limitMs) {
        log.warn({ launch: launch.files.number, limitMs }, 'no output and no step: the trainer hangs');
        await endGroup(launch.process, request.graceMs);
        return { stalled: true };
      }
      if (faultySince !== undefined && performance.now() - faultySince > request.graceMs) {
        log.warn({ launch: launch.files.number }, 'the trainer reported a fault and goes on: ending it');
        await endGroup(launch.process, request.graceMs);
        return { stalled: false };
      }
      await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
    await readNews(true);
  } finally {
    await follower.close();
  }
  await waitForLock(request, launch);
  return { stalled: false };
}

/** A descendant that hid from the process table still keeps the kernel lock; for a while that is waited for. */
async function waitForLock({ gpu, python, graceMs }: TrainingRequest, launch: Launch): Promise<void> {
  const deadline = performance.now() + graceMs;
  while (performance.now() < deadline) {
    const { held, holder } = await probeLock(gpu.lockPath, python);
    if (!held || (holder !== null && !isSameHolder(holder, launch.process))) return;
    await delay(pollMs);
  }
}

function stageAfter(event: TrainerEvent, work: TrainerDriver['work']): TrainingProgress['stage'] | undefined {
  switch (event.event) {
    case 'step':
      return event.step === event.totalSteps ? 'saving' : work;
    case 'checkpoint':
      return work;
    case 'eval':
      return 'evaluating';
    case 'done':
    case 'stopped':
      return 'saving';
    case 'start':
    case 'error':
      return undefined;
  }
}

function describeProgress(
  launch: Launch,
  adopted: boolean,
  stage: TrainingProgress['stage'],
  { lastStep, lastLoss, start, reachedStep }: LaunchSummary,
): TrainingProgress {
  return {
    launch: launch.files.number,
    pid: launch.process.trainerPid ?? launch.process.pid,
    adopted,
    stage,
    step: reachedStep,
    totalSteps: start?.totalSteps ?? null,
    epoch: lastStep?.epoch ?? null,
    loss: lastLoss ?? null,
    learningRate: lastStep?.learningRate ?? null,
    tokensPerSecond: lastStep?.tokensPerSecond ?? null,
    stepsPerSecond: lastStep?.stepsPerSecond ?? null,
    etaSeconds: lastStep?.etaSeconds ?? null,
    since: launch.process.launchedAt,
    simulated: start?.simulated ?? false,
  };
}
