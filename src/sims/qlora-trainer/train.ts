import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { finishedResult, saveAdapter } from './adapter.js';
import { loadCheckpoint, saveCheckpoint, type TrainingState } from './checkpoints.js';
import type { CommandLine, SimulatedConfig } from './config.js';
import { readDataset } from './dataset.js';
import { emit, TrainerFault } from './events.js';
import { countLaunch, injectFault } from './faults.js';

/**
 * Trains in appearance: the real trainer's events, files, resume and exit, with time instead of arithmetic. The adapter's bytes
 * follow from dataset, configuration and every single step, so a resume that loses or repeats one shows.
 *
 * @returns whether the training was stopped before its end, after a complete checkpoint.
 */
export async function simulateTraining(commandLine: CommandLine, stop: AbortSignal): Promise<boolean> {
  const { config, configured, resumeFrom } = commandLine;
  const train = readDataset(config.trainDataset);
  const heldOut = config.heldOutDataset === null ? undefined : readDataset(config.heldOutDataset);
  const totalSteps = config.epochs * Math.ceil(train.samples / (config.batchSize * config.gradientAccumulation));
  const fingerprint = sha256(JSON.stringify([resultRelevant(configured), train.sha256]));
  const finished = finishedResult(config, fingerprint);
  if (finished !== undefined) {
    emit({ event: 'done', ...losses(finished), step: finished.step });
    return false;
  }
  const launch = await countLaunch(config);
  let state: TrainingState =
    resumeFrom === undefined ? { step: 0, chain: fingerprint, lossSum: 0 } : loadCheckpoint(resumeFrom);
  if (state.step > totalSteps) {
    throw new TrainerFault('bad-config', `the checkpoint is of step ${state.step}, the training has ${totalSteps}`);
  }
  emit({
    event: 'start',
    resumedFromStep: state.step,
    totalSteps,
    simulated: true,
    facts: { device: 'none', samples: train.samples, heldOutSamples: heldOut?.samples ?? 0, launch },
  });

  const started = performance.now();
  const firstStep = state.step;
  let savedAt = started;
  while (state.step < totalSteps) {
    await injectFault(config, launch, state);
    await sleep((config.simulation.secondsPerStep ?? 0.02) * 1000);
    state = nextState(state, totalSteps);
    const rate = ((state.step - firstStep) / (performance.now() - started)) * 1000;
    if (state.step % config.loggingSteps === 0 || state.step === totalSteps) {
      emit({
        event: 'step',
        step: state.step,
        totalSteps,
        epoch: (state.step / totalSteps) * config.epochs,
        loss: lossAt(state, totalSteps),
        learningRate: config.learningRate * (1 - state.step / totalSteps),
        stepsPerSecond: rate,
        etaSeconds: (totalSteps - state.step) / rate,
      });
    }
    if (stop.aborted || isSaveDue(config, state.step, savedAt) || state.step === totalSteps) {
      const path = await saveCheckpoint(config, state);
      savedAt = performance.now();
      if (stop.aborted && state.step < totalSteps) {
        emit({ event: 'stopped', step: state.step, path });
        return true;
      }
    }
  }

  const heldOutLoss = heldOut === undefined ? undefined : lossAt(state, totalSteps) * 1.05;
  if (heldOut !== undefined && heldOutLoss !== undefined) {
    emit({ event: 'eval', step: state.step, loss: heldOutLoss, samples: heldOut.samples });
  }
  const result = {
    fingerprint,
    step: state.step,
    samples: train.samples,
    trainLoss: state.lossSum / state.step,
    heldOutLoss,
  };
  await saveAdapter(config, state.chain, result);
  emit({ event: 'done', step: state.step, ...losses(result) });
  return false;
}

/** Without what changes how a run is watched, saved and disturbed but not what it results in. */
function resultRelevant(config: SimulatedConfig): unknown {
  return {
    ...config,
    simulation: undefined,
    checkpointEverySteps: undefined,
    checkpointEveryMinutes: undefined,
    keepCheckpoints: undefined,
    loggingSteps: undefined,
    output: undefined,
    trainDataset: undefined,
    heldOutDataset: undefined,
  };
}

function nextState(state: TrainingState, totalSteps: number): TrainingState {
  const next = { ...state, step: state.step + 1, chain: sha256(`${state.chain} ${state.step + 1}`) };
  return { ...next, lossSum: state.lossSum + lossAt(next, totalSteps) };
}

/** Falls from about 2.5 to 0.5, with a little noise that belongs to the step. */
function lossAt({ step, chain }: TrainingState, totalSteps: number): number {
  const noise = Number.parseInt(chain.slice(0, 4), 16) / 0xffff - 0.5;
  return 0.4 + 2.1 * Math.exp((-3 * step) / totalSteps) + 0.1 * noise;
}

function isSaveDue(config: SimulatedConfig, step: number, savedAt: number): boolean {
  if (config.checkpointEverySteps !== null && step % config.checkpointEverySteps === 0) return true;
  const minutes = config.checkpointEveryMinutes;
  return minutes !== null && performance.now() - savedAt >= minutes * 60_000;
}

function losses(result: { trainLoss: number; heldOutLoss?: number | undefined }): {
  trainLoss: number;
  heldOutLoss?: number;
} {
  const { trainLoss, heldOutLoss } = result;
  return { trainLoss, ...(heldOutLoss !== undefined && { heldOutLoss }) };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
