import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse } from 'smol-toml';
import { z } from 'zod';

import { TowerError } from '../errors.js';
import { namesIn } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import { readLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { readEpochLosses } from './epoch-losses.js';
import { checkLora, type LoraExpectation } from './lora-check.js';
import { readLossConditions } from './loss-conditions.js';
import { kohyaPlanSchema, kohyaRunFiles, outputFiles, type KohyaPlan } from './run-files.js';

/** One epoch whose LoRA is there and valid. */
export interface EpochRecord {
  /** From 1. */
  readonly epoch: number;
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Mean over the steps of this epoch; `null`: not told. */
  readonly trainLoss: number | null;
  /** Mean over the held-out images, always at the same time steps; `null`: none held out, or not validated then. */
  readonly heldOutLoss: number | null;
  /** `console`: losses are rounded to three digits, because TensorBoard is not installed beside sd-scripts. */
  readonly lossSource: 'tensorboard' | 'console' | null;
  /** Fixed-seed samples by number of their prompt. */
  readonly samples: readonly string[];
  /** Of the losses: only those with equal ones can be compared. */
  readonly conditions?: string | undefined;
  /** Of the trainer's, to load images: only without any are the losses of all epochs at the same noise. */
  readonly loadingProcesses: number;
}

/** `kohya.json` of a run. @throws TowerError `KOHYA_RUN_UNKNOWN` when the run has none. */
export async function readKohyaPlan(directory: string): Promise<KohyaPlan> {
  const { plan: path } = kohyaRunFiles(directory);
  const plan = await readJsonIfExists(path, kohyaPlanSchema);
  if (plan !== undefined) return plan;
  throw new TowerError('KOHYA_RUN_UNKNOWN', `${directory} is no folder of a LoRA training: it has no kohya.json`, {
    next: 'Train first.',
  });
}

/**
 * The epochs of a run that can be chosen from, in their order, as the newest launch left them. A LoRA that is not valid is no epoch.
 *
 * @throws TowerError `KOHYA_RUN_UNKNOWN`
 */
export async function readEpochs(directory: string, signal?: AbortSignal): Promise<EpochRecord[]> {
  const plan = await readKohyaPlan(directory);
  const rung = (await readLaunches(runDirectory(directory))).at(-1)?.spec.memoryRung ?? 0;
  const number = Math.min(rung, plan.rungs.length - 1);
  const output = plan.rungs[number]?.output ?? '';
  const { loadingProcesses, ...ordered } = await readOrderedOptions(directory, number);
  const expectation = { ...expectationOf(ordered, plan), signal };
  const losses = await readEpochLosses(directory, plan);
  const conditions = await readLossConditions(directory, plan);
  const samples = await samplesByEpoch(join(output, outputFiles.samples), plan.outputName);
  const records: EpochRecord[] = [];
  for (let epoch = 1; epoch <= plan.epochs; epoch += 1) {
    const name =
      epoch === plan.epochs ? outputFiles.lora(plan.outputName) : outputFiles.epochLora(plan.outputName, epoch);
    const check = await checkLora(join(output, name), expectation);
    if (!check.valid) continue;
    const { train = null, heldOut = null, source = null } = losses.get(epoch) ?? {};
    records.push({
      epoch,
      path: check.path,
      sha256: check.sha256,
      bytes: check.bytes,
      trainLoss: train,
      heldOutLoss: heldOut,
      lossSource: source,
      samples: samples.get(epoch) ?? [],
      conditions: conditions.get(epoch),
      loadingProcesses,
    });
  }
  return records;
}

/** What config.toml of a rung orders, as far as it shows in a LoRA. */
const orderedSchema = z.object({
  network_dim: z.number(),
  network_alpha: z.number(),
  network_args: z.array(z.string()).optional(),
  dim_from_weights: z.boolean().optional(),
  network_train_unet_only: z.boolean().optional(),
  network_train_text_encoder_only: z.boolean().optional(),
  no_metadata: z.boolean().optional(),
  training_comment: z.string(),
  save_every_n_epochs: z.number().default(1),
  max_data_loader_n_workers: z.number().default(0),
});

interface OrderedOptions extends Pick<LoraExpectation, 'options' | 'comment'> {
  /** Between two states. */
  readonly saveEveryEpochs: number;
  readonly loadingProcesses: number;
}

/** What config.toml of a rung orders, with the comment that marks the LoRAs of the run. */
export async function readOrderedOptions(directory: string, rung: number): Promise<OrderedOptions> {
  const text = await readFile(kohyaRunFiles(directory).config(rung), 'utf8');
  const {
    training_comment: comment,
    save_every_n_epochs: saveEveryEpochs,
    max_data_loader_n_workers: loadingProcesses,
    ...options
  } = orderedSchema.parse(parse(text));
  return { options, comment, saveEveryEpochs, loadingProcesses };
}

function expectationOf(
  { comment, options }: Pick<OrderedOptions, 'comment' | 'options'>,
  plan: KohyaPlan,
): LoraExpectation {
  return { baseModelKind: plan.baseModelKind, options, simulated: plan.simulated, comment };
}

/** An epoch that was done again has samples of both times: the newer ones count. */
async function samplesByEpoch(folder: string, outputName: string): Promise<Map<number, string[]>> {
  const newest = new Map<string, { epoch: number; prompt: number; time: string; path: string }>();
  for (const name of await namesIn(folder)) {
    const sample = outputFiles.sample(outputName, name);
    if (sample === undefined) continue;
    const key = `${sample.epoch} ${sample.prompt}`;
    if ((newest.get(key)?.time ?? '') <= sample.time) newest.set(key, { ...sample, path: join(folder, name) });
  }
  const byEpoch = new Map<number, string[]>();
  for (const { epoch, path } of [...newest.values()].sort((one, other) => one.prompt - other.prompt)) {
    byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), path]);
  }
  return byEpoch;
}
