import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { describeError, TowerError } from '../errors.js';
import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Log } from '../log/logger.js';
import { readSafetensorsHeader } from '../training/safetensors.js';
import { setAside } from '../training/set-aside.js';
import { outputFiles } from './run-files.js';

/** A state from which the trainer can go on with the next epoch. */
export interface EpochState {
  readonly path: string;
  /** Epochs that are inside it. */
  readonly epoch: number;
}

export interface StateFolder {
  readonly output: string;
  readonly outputName: string;
  readonly brokenFolder: string;
  readonly log: Log;
}

/** `current_step` counts from the start of the launch and is of no use (contract kohya.md, section 6.2). */
const trainStateSchema = z.object({ current_epoch: z.int().positive() });
/** In the order in which they are written; the last one marks a complete state (contract kohya.md, section 4). */
const archives = ['optimizer.bin', 'scheduler.bin', 'random_states_0.pkl'];
/** PyTorch's files are zip archives: they begin with a local header and end with a directory of this length. */
const localHeader = Buffer.from('PK\x03\x04', 'latin1');
const endOfDirectory = Buffer.from('PK\x05\x06', 'latin1');
const endOfDirectoryBytes = 22;

/**
 * Complete states at the end of an epoch, newest first; torn ones are set aside. Only for a time at which no trainer of this run
 * lives.
 */
export async function findCompleteStates({
  output,
  outputName,
  brokenFolder,
  log,
}: StateFolder): Promise<EpochState[]> {
  const complete: EpochState[] = [];
  for (const name of await namesIn(output)) {
    const epoch = outputFiles.epochOfState(outputName, name);
    if (epoch === undefined) continue;
    const path = join(output, name);
    const fault = await stateFault(path, epoch);
    if (fault === undefined) complete.push({ path, epoch });
    else await setAside(path, { brokenFolder, fault, log });
  }
  return complete.sort((one, other) => other.epoch - one.epoch);
}

/** Why a state cannot be resumed from, or `undefined`. */
async function stateFault(path: string, epoch: number): Promise<string | undefined> {
  try {
    const state = await readJsonIfExists(join(path, 'train_state.json'), trainStateSchema);
    if (state === undefined) return 'train_state.json is missing';
    if (state.current_epoch !== epoch) return `train_state.json is of epoch ${state.current_epoch}`;
    for (const name of archives) {
      const fault = await archiveFault(join(path, name));
      if (fault !== undefined) return `${name} ${fault}`;
    }
    await readSafetensorsHeader(join(path, 'model.safetensors'));
    return undefined;
  } catch (error) {
    const damaged = error instanceof TowerError || (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!damaged) throw error;
    return describeError(error);
  }
}

async function archiveFault(path: string): Promise<string | undefined> {
  const size = (await stat(path).catch(undefinedIfAbsent))?.size;
  if (size === undefined) return 'is missing: the state was not finished';
  if (size === 0) return 'is empty';
  const file = await open(path, 'r');
  try {
    const begin = Buffer.alloc(localHeader.length);
    await file.read(begin, 0, begin.length, 0);
    // Files of another kind have no end that could be told.
    if (!begin.equals(localHeader)) return undefined;
    const end = Buffer.alloc(endOfDirectory.length);
    await file.read(end, 0, end.length, Math.max(0, size - endOfDirectoryBytes));
    return end.equals(endOfDirectory) ? undefined : 'was cut';
  } finally {
    await file.close();
  }
}
