import { readFile } from 'node:fs/promises';

import { parse } from 'smol-toml';
import { z } from 'zod';

import { undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import { kohyaRunFiles } from '../kohya/run-files.js';
import { runDirectory } from '../training/run-directory.js';
import { readSettled } from '../training/settle.js';

const planSchema = z.looseObject({ rungs: z.array(z.looseObject({ description: z.string() })).optional() });

/**
 * How a LoRA was trained, for its sidecar: what was ordered, what the trainer was really told on the rung of the out-of-memory ladder
 * that it ended on, the steps and the losses. `null` for a run without a training; what is not there yet is left out.
 */
export async function trainingLineage(directory: string): Promise<Readonly<Record<string, unknown>> | null> {
  const files = kohyaRunFiles(directory);
  const plan = await readJsonIfExists(files.plan, planSchema);
  if (plan === undefined) return null;
  const settled = await readSettled(runDirectory(directory));
  if (settled === undefined) return plan;
  const { driver, steps, launches, memoryRung, trainLoss, heldOutLoss, settledAt } = settled;
  // A launch above the ladder's end is on its last rung.
  const rung = Math.min(memoryRung, Math.max(0, (plan.rungs?.length ?? 1) - 1));
  return {
    ...plan,
    ...{ driver, steps, launches, trainLoss, heldOutLoss, settledAt },
    rung: { number: rung, description: plan.rungs?.[rung]?.description ?? null },
    config: (await readToml(files.config(rung))) ?? null,
    datasetConfig: (await readToml(files.dataset(rung))) ?? null,
  };
}

async function readToml(path: string): Promise<object | undefined> {
  const text = await readFile(path, 'utf8').catch(undefinedIfAbsent);
  return text === undefined ? undefined : parse(text);
}
