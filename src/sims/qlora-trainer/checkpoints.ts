import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { writeJsonDurable } from '../../files/durable-write.js';
import { checkpointMarker } from '../../qlora/run-files.js';
import type { SimulatedConfig } from './config.js';
import { emit, TrainerFault } from './events.js';

/** All that the simulated training knows: `chain` is a hash over every step so far, so that no step can be lost or done twice. */
export interface TrainingState {
  readonly step: number;
  readonly chain: string;
  readonly lossSum: number;
}

const stateFile = 'state.json';

/** Writes the state, then the marker, then removes the oldest complete checkpoints; answers the folder's name. */
export async function saveCheckpoint(config: SimulatedConfig, state: TrainingState): Promise<string> {
  const started = performance.now();
  const name = `checkpoint-${state.step}`;
  const folder = join(config.output, name);
  await writeTornCheckpoint(config, state);
  const { size: bytes } = statSync(join(folder, stateFile));
  await writeJsonDurable(join(folder, checkpointMarker), { step: state.step, files: { [stateFile]: bytes } });
  emit({ event: 'checkpoint', step: state.step, path: name, bytes, seconds: (performance.now() - started) / 1000 });
  await removeOldCheckpoints(config);
  return name;
}

/** A checkpoint as a kill in the middle of saving leaves it: without its marker. */
export async function writeTornCheckpoint(config: SimulatedConfig, state: TrainingState): Promise<void> {
  const folder = join(config.output, `checkpoint-${state.step}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeJsonDurable(join(folder, stateFile), state);
}

export function loadCheckpoint(folder: string): TrainingState {
  try {
    const marker = JSON.parse(readFileSync(join(folder, checkpointMarker), 'utf8')) as { step: number };
    const state = JSON.parse(readFileSync(join(folder, stateFile), 'utf8')) as TrainingState;
    if (state.step === marker.step) return state;
  } catch (error) {
    throw new TrainerFault('bad-config', `${folder} is no complete checkpoint: ${(error as Error).message}`);
  }
  throw new TrainerFault('bad-config', `${folder} is no complete checkpoint: its marker is of another step`);
}

/** Counts complete ones only, so that a torn one never takes the place of a good one. */
async function removeOldCheckpoints(config: SimulatedConfig): Promise<void> {
  const steps = readdirSync(config.output)
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .filter((step) => existsSync(join(config.output, `checkpoint-${step}`, checkpointMarker)))
    .map(Number)
    .sort((a, b) => b - a);
  for (const step of steps.slice(config.keepCheckpoints)) {
    await rm(join(config.output, `checkpoint-${step}`), { recursive: true });
  }
}
