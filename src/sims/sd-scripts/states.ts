import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { log, PythonError } from './console.js';
import { writeLora, type Module } from './network.js';
import type { Arguments } from './command-line.js';

/** All that the stand-in knows at the end of an epoch. */
export interface TrainingState {
  /** A hash over every step so far, so that no step can be lost or done twice. */
  readonly chain: string;
  /** Steps of the whole training. */
  readonly step: number;
  /** What the optimiser and the network of these steps are; a state of others cannot be loaded. */
  readonly shape: string;
}

/** As sd-scripts counts: the step from the start of the launch, and so wrong after a resume. */
export interface EpochCounter {
  readonly epoch: number;
  readonly stepOfLaunch: number;
}

/** Saves in the order of the real one: first `train_state.json`, at last the random state. `torn`: is killed before the last file. */
export async function saveState(
  folder: string,
  state: TrainingState,
  counter: EpochCounter,
  how: {
    readonly script: string;
    readonly modules: readonly Module[];
    readonly args: Arguments;
    readonly torn: boolean;
  },
): Promise<void> {
  log(`[RANK 0] Saving current state to ${folder}`);
  await mkdir(folder, { recursive: true });
  const trainState = { current_epoch: counter.epoch, current_step: counter.stepOfLaunch };
  log(`save train state to ${join(folder, 'train_state.json')} at epoch ${counter.epoch} step ${counter.stepOfLaunch}`);
  await writeFile(join(folder, 'train_state.json'), JSON.stringify(trainState));
  const { modules, ...order } = how;
  const file = join(folder, 'model.safetensors');
  await writeLora(file, modules, { chain: state.chain }, { ...order, metadata: {} });
  log(`[RANK 0] Model weights saved in ${file}`);
  for (const [what, file] of [
    ['Optimizer state', 'optimizer.bin'],
    ['Scheduler state', 'scheduler.bin'],
    ['Random states', 'random_states_0.pkl'],
  ] as const) {
    if (how.torn && file === 'random_states_0.pkl') process.kill(process.pid, 'SIGKILL');
    await writeFile(join(folder, file), archive(JSON.stringify(state)));
    log(`[RANK 0] ${what} saved in ${join(folder, file)}`);
  }
}

/** @returns the state, and the counter that it was saved with. */
export function loadState(folder: string, shape: string): { state: TrainingState; counter: EpochCounter } {
  log(`resume training from local state: ${folder}`);
  const path = join(folder, 'optimizer.bin');
  if (!existsSync(path)) throw new PythonError('FileNotFoundError', `[Errno 2] No such file or directory: '${path}'`);
  const state = JSON.parse(/\{.*\}/s.exec(readFileSync(path, 'latin1'))?.[0] ?? '') as TrainingState;
  if (state.shape !== shape) {
    throw new PythonError('RuntimeError', 'Error(s) in loading state_dict for LoRANetwork: Unexpected key(s)');
  }
  const trainState = join(folder, 'train_state.json');
  const { current_epoch: epoch, current_step: stepOfLaunch } = JSON.parse(readFileSync(trainState, 'utf8')) as {
    current_epoch: number;
    current_step: number;
  };
  log(`load train state from ${trainState}: {'current_epoch': ${epoch}, 'current_step': ${stepOfLaunch}}`);
  return { state, counter: { epoch, stepOfLaunch } };
}

export function removeState(folder: string): void {
  if (!existsSync(folder)) return;
  log(`removing old state: ${folder}`);
  rmSync(folder, { recursive: true });
}

/** Begins and ends like PyTorch's archives. */
function archive(content: string): Buffer {
  const directory = Buffer.alloc(22);
  directory.write('PK\x05\x06', 'latin1');
  return Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), Buffer.from(content), directory]);
}
