import { readFile } from 'node:fs/promises';

import { parse } from 'smol-toml';
import { z } from 'zod';

import { undefinedIfAbsent } from '../files/absent.js';
import { readLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { readSettled } from '../training/settle.js';
import { kohyaRunFiles, type KohyaPlan } from './run-files.js';

/** What config.toml orders that changes a loss without the training being another: rungs of the out-of-memory ladder do. */
const conditionsSchema = z.object({
  resolution: z.string().optional(),
  train_batch_size: z.number().optional(),
  mixed_precision: z.string().optional(),
  fp8_base: z.boolean().optional(),
});

/**
 * By epoch (from 1), under which conditions the launch that made it measured losses: those of two epochs can be compared where
 * these texts are equal. Empty for a training that is not finished.
 */
export async function readLossConditions(directory: string, plan: KohyaPlan): Promise<ReadonlyMap<number, string>> {
  const run = runDirectory(directory);
  const settled = await readSettled(run);
  const byEpoch = new Map<number, string>();
  if (settled === undefined) return byEpoch;
  const rungOf = new Map((await readLaunches(run)).map(({ files, spec }) => [files.number, spec.memoryRung]));
  const { planned, segments } = settled.steps;
  for (let epoch = 1; epoch <= plan.epochs; epoch += 1) {
    const lastStep = Math.round((planned / plan.epochs) * epoch);
    const maker = segments.find(({ from, to }) => from <= lastStep && lastStep <= to);
    const rung = maker === undefined ? undefined : rungOf.get(maker.launch);
    if (rung === undefined) continue;
    const conditions = await conditionsOf(directory, Math.min(rung, plan.rungs.length - 1));
    if (conditions !== undefined) byEpoch.set(epoch, conditions);
  }
  return byEpoch;
}

async function conditionsOf(directory: string, rung: number): Promise<string | undefined> {
  const text = await readFile(kohyaRunFiles(directory).config(rung), 'utf8').catch(undefinedIfAbsent);
  return text === undefined ? undefined : JSON.stringify(conditionsSchema.parse(parse(text)));
}
