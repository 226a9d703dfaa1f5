import { join } from 'node:path';

import { TowerError } from '../errors.js';
import type { Log } from '../log/logger.js';
import { readLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { resolveOptions, type BaseModelKind, type Precision, type ResolvedOptions } from './base-model.js';
import type { KohyaCapabilities } from './installation.js';
import type { LoraExpectation } from './lora-check.js';
import { memoryLadder, optionsOfRung, outputFolderOfRung } from './memory-ladder.js';
import type { KohyaOptions } from './options.js';
import type { KohyaSample } from './samples.js';

/** What to train. Paths are absolute. */
export interface KohyaRun {
  readonly runId: string;
  readonly runDirectory: string;
  readonly baseModelKind: BaseModelKind;
  readonly options: KohyaOptions;
  /** Folder with the images and, beside them, their captions; its name stands in the LoRA's metadata. */
  readonly images: string;
  /** All images have one size. More rungs of the out-of-memory ladder can be used then. */
  readonly oneSize: boolean;
  /** Drawn after each epoch; none: no samples. */
  readonly samples: readonly KohyaSample[];
  /** Begin of the names of all files that the trainer writes: letters, digits, `_`, `-` and `.`. */
  readonly outputName: string;
  readonly log: Log;
}

/** With what it is trained. */
export interface KohyaTrainer {
  /** Name of the driver. */
  readonly name: string;
  readonly simulated: boolean;
  readonly precision: Precision;
  /** What Tower found. Where it found no GPU, sd-scripts may all the same. */
  readonly device: 'cuda' | 'cpu';
  /** No GPU is to be used, also where sd-scripts would find one. */
  readonly hideGpus?: boolean;
  readonly capabilities: KohyaCapabilities;
}

/** A rung of the out-of-memory ladder, 0 = as configured. */
export interface Rung {
  readonly description: string;
  /** In force on it. */
  readonly options: ResolvedOptions;
  /** Output folder, absolute. */
  readonly output: string;
}

/** A run with everything that follows from it. */
export interface KohyaOrder {
  readonly run: KohyaRun;
  readonly trainer: KohyaTrainer;
  readonly rungs: readonly [Rung, ...Rung[]];
  /** Stands in the metadata of its LoRAs and of no other's. */
  readonly comment: string;
}

/** As much of an order as tells what its launches have made. */
export interface LaunchedOrder {
  readonly run: Pick<KohyaRun, 'runDirectory' | 'baseModelKind' | 'outputName' | 'log'>;
  readonly trainer: Pick<KohyaTrainer, 'simulated'>;
  readonly rungs: readonly [LaunchedRung, ...LaunchedRung[]];
  readonly comment: string;
}

interface LaunchedRung {
  readonly options: LoraExpectation['options'] & Pick<ResolvedOptions, 'max_train_epochs'>;
  readonly output: string;
}

/** @throws TowerError `KOHYA_OPTIONS_INVALID`, `KOHYA_OUTPUT_NAME_INVALID` */
export function createOrder(run: KohyaRun, trainer: KohyaTrainer): KohyaOrder {
  if (!/^\w[\w.-]{0,150}$/.test(run.outputName)) {
    throw new TowerError('KOHYA_OUTPUT_NAME_INVALID', `${JSON.stringify(run.outputName)} is no safe file name`, {
      next: 'Use letters, digits, `_`, `-` and `.`.',
    });
  }
  const options = resolveOptions(run.baseModelKind, run.options, trainer.precision);
  const ladder = memoryLadder(options, {
    baseModelKind: run.baseModelKind,
    has8bitOptimisers: trainer.capabilities.bitsandbytes,
    oneSize: run.oneSize,
  });
  const rungs = ladder.map(({ description }, index): Rung => ({
    description,
    options: optionsOfRung(options, ladder, index + 1),
    output: join(run.runDirectory, outputFolderOfRung(ladder, index + 1)),
  }));
  const configured = { description: 'as configured', options, output: join(run.runDirectory, 'output') };
  return { run, trainer, rungs: [configured, ...rungs], comment: `tower run ${run.runId}` };
}

/** A rung above the ladder's end means its last one. */
export function rungOf<Any>({ rungs }: { readonly rungs: readonly [Any, ...Any[]] }, number: number): Any {
  return rungs[Math.min(number, rungs.length - 1)] ?? rungs[0];
}

/** The rung of the newest launch; 0 before the first. */
export async function presentRung({ run }: LaunchedOrder): Promise<number> {
  return (await readLaunches(runDirectory(run.runDirectory))).at(-1)?.spec.memoryRung ?? 0;
}
