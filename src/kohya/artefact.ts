import { join } from 'node:path';

import { readLaunches } from '../training/launch-record.js';
import { summarizeLaunch } from '../training/launch-summary.js';
import { runDirectory } from '../training/run-directory.js';
import type { ArtefactCheck, TrainerDriver } from '../training/trainer-driver.js';
import { checkLora } from './lora-check.js';
import { rungOf, type LaunchedOrder } from './order.js';
import { outputFiles } from './run-files.js';

/**
 * Whether the newest launch has trained the LoRA that was ordered: it said `model saved.`, it ended with 0 where its end is on record,
 * it never reported a fault, and the file is valid. Neither line nor exit code would be enough: sd-scripts ends with 0 when it
 * finds no images. The file is of this launch, because one that was there before was set aside.
 */
export async function checkOutput(
  order: LaunchedOrder,
  driver: Pick<TrainerDriver, 'createParser'>,
): Promise<ArtefactCheck> {
  const launch = (await readLaunches(runDirectory(order.run.runDirectory))).at(-1);
  if (launch === undefined) return { valid: false, reason: 'the trainer was not started yet' };
  const { exit, spec, files } = launch;
  const { summary } = await summarizeLaunch(files, driver);
  if (summary.last('error') !== undefined) return { valid: false, reason: 'the trainer reported a fault' };
  if (summary.last('done') === undefined) return { valid: false, reason: 'the trainer has not saved its LoRA' };
  if (exit !== undefined && exit.code !== 0) {
    return { valid: false, reason: `the trainer ended with ${exit.signal ?? `exit code ${exit.code}`}` };
  }
  const { output, options } = rungOf(order, spec.memoryRung);
  return await checkLora(join(output, outputFiles.lora(order.run.outputName)), {
    baseModelKind: order.run.baseModelKind,
    options,
    simulated: order.trainer.simulated,
    comment: order.comment,
    modules: trainedModules(summary.start?.facts ?? {}),
  });
}

/** How many modules the trainer said it trains; `undefined` where it did not. */
function trainedModules(facts: Readonly<Record<string, unknown>>): { textEncoder: number; unet: number } | undefined {
  const { textEncoderModules: textEncoder = 0, unetModules: unet = 0 } = facts;
  const known = typeof textEncoder === 'number' && typeof unet === 'number' && textEncoder + unet > 0;
  return known ? { textEncoder, unet } : undefined;
}
