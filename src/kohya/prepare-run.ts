import { join } from 'node:path';

import { TowerError } from '../errors.js';
import { writeFileDurable, writeJsonDurable } from '../files/durable-write.js';
import { exists } from '../files/exists.js';
import { setAside } from '../training/set-aside.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import { checkDataset, type DatasetCheck } from './check-dataset.js';
import { configFile, configValues, datasetFile, type ConfigFile } from './config-files.js';
import { planHeldOut } from './held-out.js';
import type { KohyaOrder, Rung } from './order.js';
import { refuseChangedDataset } from './refuse-changed-dataset.js';
import { refuseLostGpu } from './refuse-lost-gpu.js';
import { kohyaRunFiles, outputFiles, type KohyaPlan } from './run-files.js';
import { samplePromptsFile } from './samples.js';

/**
 * Checks the data set and writes the trainer's input files, those of every rung at once, and the plan. The same input gives the same
 * bytes. A finished LoRA of an earlier launch is set aside.
 *
 * @throws TowerError `KOHYA_DATASET_INVALID`, `DATASET_CHANGED`, `GPU_LOST`, `KOHYA_OPTION_UNSUPPORTED`.
 */
export async function prepareRun(order: KohyaOrder, driver: Pick<TrainerDriver, 'createParser'>): Promise<void> {
  const { run, trainer, rungs } = order;
  const { options } = rungs[0];
  const files = kohyaRunFiles(run.runDirectory);
  const check = await checkDataset({ folder: run.images, options, record: files.datasetCheck });
  await refuseChangedDataset(run, check, driver);
  await refuseLostGpu(order, driver);
  warnOfUnknownDevice(order);
  if (options.reg_data_dir !== undefined) {
    const record = files.regularisationCheck;
    await checkDataset({ folder: options.reg_data_dir, options, record, bitmaps: true });
  }
  const { heldOut, share } = planHeldOut(check.images, {
    share: options.validation_split,
    seed: options.validation_seed,
    validation: trainer.capabilities.validation,
  });
  const samplePrompts = run.samples.length === 0 ? undefined : files.samplePrompts;
  if (samplePrompts !== undefined) {
    await writeFileDurable(samplePrompts, samplePromptsFile(run.samples, run.baseModelKind));
  }
  requireSupported(order, share);
  for (const [number, rung] of rungs.entries()) {
    const file = configOf(order, rung, share);
    await writeFileDurable(files.config(number), configFile(rung.options, file));
    await writeFileDurable(files.dataset(number), datasetFile(rung.options, run.images));
  }
  await writeJsonDurable(files.plan, planOf(order, check, heldOut));
  await setAsideLeftovers(order);
}

/** Where a GPU cannot be told by `nvidia-smi` (a container without it, ROCm), sd-scripts may take one, in a precision that wastes it. */
function warnOfUnknownDevice({ run, trainer, rungs }: KohyaOrder): void {
  const unknown = !trainer.simulated && trainer.device === 'cpu' && trainer.hideGpus !== true;
  if (!unknown || rungs[0].options.mixed_precision !== 'no') return;
  const next =
    'Where there is a GPU, set `gpu.nvidiaSmi` to the path of `nvidia-smi`, or `kohya.mixed_precision` to `bf16` or `fp16`; ' +
    'where none is to be used, set `gpu.nvidiaSmi` to `none`.';
  run.log.warn(
    { run: run.runId, next },
    'nvidia-smi finds no GPU: sd-scripts takes what it finds itself, in full precision',
  );
}

/** What the next launch is judged by has to be its own; times tell nothing where a clock was set. */
async function setAsideLeftovers({ run, rungs }: KohyaOrder): Promise<void> {
  const { broken: brokenFolder } = kohyaRunFiles(run.runDirectory);
  for (const { output } of rungs) {
    const lora = join(output, outputFiles.lora(run.outputName));
    if (!(await exists(lora))) continue;
    await setAside(lora, { brokenFolder, fault: 'it is of an earlier launch', log: run.log });
  }
}

function configOf({ run, rungs, comment }: KohyaOrder, { output }: Rung, heldOutShare: number | undefined): ConfigFile {
  const files = kohyaRunFiles(run.runDirectory);
  const { training_comment: own } = rungs[0].options;
  return {
    outputDirectory: output,
    outputName: run.outputName,
    tensorboard: files.tensorboard,
    samplePrompts: run.samples.length === 0 ? undefined : files.samplePrompts,
    comment: [own, comment].filter((text) => text !== undefined).join('; '),
    heldOutShare,
  };
}

/**
 * Refuses what the installed scripts would pass over without a word, on every rung. Needs no file of the run.
 *
 * @throws TowerError `KOHYA_OPTION_UNSUPPORTED`
 */
export function requireSupported(order: KohyaOrder, heldOutShare: number | undefined): void {
  for (const rung of order.rungs) {
    assertSupported(Object.keys(configValues(rung.options, configOf(order, rung, heldOutShare))), order);
  }
}

function planOf({ run, trainer, rungs }: KohyaOrder, check: DatasetCheck, heldOut: KohyaPlan['heldOut']): KohyaPlan {
  const { version, commit, python, torch } = trainer.capabilities;
  return {
    version: 1,
    driver: trainer.name,
    simulated: trainer.simulated,
    device: trainer.device,
    baseModelKind: run.baseModelKind,
    sdScripts: { version, commit, python, torch },
    outputName: run.outputName,
    epochs: run.options.max_train_epochs,
    images: check.images,
    sizes: check.sizes,
    heldOut,
    samples: run.samples.length,
    rungs: rungs.map(({ description, output }) => ({ description, output })),
  };
}

/** A key that the installed scripts do not know would be without effect, and nobody would be told. */
function assertSupported(keys: readonly string[], { trainer: { capabilities } }: KohyaOrder): void {
  const { options, version } = capabilities;
  const unknown = options === null ? [] : keys.filter((key) => !options.has(key));
  if (unknown.length === 0) return;
  throw new TowerError(
    'KOHYA_OPTION_UNSUPPORTED',
    `The installed sd-scripts${version === null ? '' : ` (${version})`} does not know ${unknown.join(', ')}`,
    { next: 'Leave it out, or update sd-scripts.', details: { unknown } },
  );
}
