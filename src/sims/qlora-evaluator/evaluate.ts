import { setTimeout as sleep } from 'node:timers/promises';

import { writeJsonDurable } from '../../files/durable-write.js';
import { readDataset } from '../qlora-trainer/dataset.js';
import { emit } from '../qlora-trainer/events.js';
import type { SimulatedEvaluation, Wishes } from './config.js';
import { simulatedLosses } from './losses.js';

/** Evaluates in appearance: the real evaluator's events and result file, with a formula instead of a model. */
export async function simulateEvaluation(config: SimulatedEvaluation, wishes: Wishes): Promise<void> {
  const heldOut = readDataset(config.heldOutDataset);
  const totalSteps = heldOut.samples * config.adapters.length;
  const facts = { device: 'none', heldOutSamples: heldOut.samples, adapters: config.adapters.length };
  emit({ event: 'start', resumedFromStep: 0, totalSteps, simulated: true, facts });
  const secondsPerSample = wishes.secondsPerSample ?? config.simulation.secondsPerSample;
  const adapters = [];
  let step = 0;
  for (const { name, path } of config.adapters) {
    const samples = simulatedLosses(path, heldOut, wishes);
    for (let left = samples.length; left > 0; left--) {
      if (secondsPerSample > 0) await sleep(secondsPerSample * 1000);
      step += 1;
      if (secondsPerSample > 0 || step === totalSteps) {
        emit({ event: 'step', step, totalSteps, epoch: (step / totalSteps) * config.adapters.length });
      }
    }
    const meanLoss = meanOf(samples);
    if (meanLoss !== null) emit({ event: 'eval', step, loss: meanLoss, samples: samples.length });
    adapters.push({ name, path, meanLoss, samples });
  }
  await writeJsonDurable(config.result, {
    version: 1,
    simulated: true,
    baseModel: config.baseModel,
    device: 'none',
    samples: heldOut.samples,
    cutSamples: 0,
    adapters,
    heldOutSha256: heldOut.sha256,
  });
}

function meanOf(samples: readonly (readonly [number | null, number])[]): number | null {
  let [losses, tokens] = [0, 0];
  for (const [loss, count] of samples) {
    if (loss === null) return null;
    losses += loss;
    tokens += count;
  }
  return losses / tokens;
}
