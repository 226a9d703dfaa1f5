import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { describeError } from '../errors.js';
import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Log } from '../log/logger.js';
import { setAside } from '../training/set-aside.js';
import type { Checkpoint } from '../training/trainer-driver.js';
import { checkpointMarker } from './run-files.js';

const markerSchema = z.object({
  step: z.int().positive(),
  /** Bytes of every file of the checkpoint, by path relative to its folder. */
  files: z.record(z.string(), z.int().nonnegative()),
});

/**
 * Complete checkpoints of an output folder, newest first. A folder whose marker is missing or does not fit its files is moved
 * to `brokenFolder` under a new name: it is never resumed from and never deleted.
 *
 * Only for a time at which no trainer of this run lives: a checkpoint that is being written has no marker yet. Several
 * processes may look at the same time.
 */
export async function findCompleteCheckpoints(
  outputFolder: string,
  brokenFolder: string,
  log: Log,
): Promise<Checkpoint[]> {
  const complete: Checkpoint[] = [];
  for (const { name, step } of await checkpointFolders(outputFolder)) {
    const path = join(outputFolder, name);
    const fault = await checkpointFault(path, step);
    if (fault === undefined) {
      complete.push({ path, step });
      continue;
    }
    await setAside(path, { brokenFolder, fault, log });
  }
  return complete.sort((a, b) => b.step - a.step);
}

async function checkpointFolders(outputFolder: string): Promise<{ name: string; step: number }[]> {
  return (await namesIn(outputFolder)).flatMap((name) => {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    return step === undefined ? [] : [{ name, step: Number(step) }];
  });
}

/** Why a checkpoint cannot be resumed from, or `undefined`. */
async function checkpointFault(path: string, step: number): Promise<string | undefined> {
  let marker: z.output<typeof markerSchema> | undefined;
  try {
    marker = await readJsonIfExists(join(path, checkpointMarker), markerSchema);
  } catch (error) {
    return describeError(error);
  }
  if (marker === undefined) return `no ${checkpointMarker}: it was not finished`;
  if (marker.step !== step) return `its marker is of step ${marker.step}`;
  for (const [file, bytes] of Object.entries(marker.files)) {
    const found = await stat(join(path, file)).then(({ size }) => size, undefinedIfAbsent);
    if (found !== bytes) return `${file} should have ${bytes} bytes, found ${found ?? 'no such file'}`;
  }
  return undefined;
}
