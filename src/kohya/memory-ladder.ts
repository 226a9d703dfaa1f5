import type { BaseModelKind, ResolvedOptions } from './base-model.js';
import { cachesTextEncoder } from './options.js';

/** One rung of the out-of-memory ladder: what it adds to the rungs before it. */
export interface MemoryRung {
  /** For records and reports. */
  readonly description: string;
  readonly overrides: Partial<ResolvedOptions>;
  /** States of the rungs before it do not fit: another network or another optimiser. */
  readonly startsAnew: boolean;
}

export interface LadderConditions {
  readonly baseModelKind: BaseModelKind;
  /** bitsandbytes is installed. */
  readonly has8bitOptimisers: boolean;
  /** All images have one size, so that they are in one bucket. */
  readonly oneSize: boolean;
}

/** Shortest side in pixels to which a rung may lower the resolution. */
const smallestSide = 384;

const eightBit: Readonly<Record<string, string>> = {
  adamw: 'AdamW8bit',
  lion: 'Lion8bit',
  sgdnesterov: 'SGDNesterov8bit',
  pagedadamw: 'PagedAdamW8bit',
};

/**
 * The rungs for these options, mildest first (contract kohya.md, section 8.2). A rung that would change nothing is left out, because
 * a retry on it would only run out of memory again. No rung changes the number of steps: with one bucket, batch 1 and as many times
 * the accumulation take exactly as many; with several and a batch above 1 they do not, so those rungs are left out then.
 */
export function memoryLadder(options: ResolvedOptions, conditions: LadderConditions): MemoryRung[] {
  const rungs: MemoryRung[] = [];
  const add = (description: string, overrides: Partial<ResolvedOptions>, startsAnew = false): void => {
    rungs.push({ description, overrides, startsAnew });
  };
  const { train_batch_size: batch, gradient_accumulation_steps: accumulation } = options;
  const keepsSteps = batch === 1 || options.enable_bucket !== true || conditions.oneSize;
  if (options.gradient_checkpointing !== true) add('gradient checkpointing', { gradient_checkpointing: true });
  if (batch > 1 && keepsSteps) {
    const steps = batch * accumulation;
    add(`batch 1 with accumulation ${steps}`, { train_batch_size: 1, gradient_accumulation_steps: steps });
  }
  const optimiser = eightBit[options.optimizer_type.toLowerCase()];
  if (optimiser !== undefined && conditions.has8bitOptimisers) {
    add(`8-bit optimiser ${optimiser}`, { optimizer_type: optimiser }, true);
  }
  addTextEncoderRung(options, conditions, add);
  if (options.mixed_precision !== 'no' && options.fp8_base !== true) add('base model in fp8', { fp8_base: true });
  const [width, height] = options.resolution.map((side) => Math.floor((side * 0.75) / 64) * 64);
  const smallest = Math.max(smallestSide, options.enable_bucket === true ? (options.min_bucket_reso ?? 0) : 0);
  if (keepsSteps && width !== undefined && height !== undefined && Math.min(width, height) >= smallest) {
    add(`resolution ${width}×${height}`, { resolution: [width, height] });
  }
  return rungs;
}

/** The text encoder is not trained, and where the base model can, not even kept: its outputs are cached. */
function addTextEncoderRung(
  options: ResolvedOptions,
  { baseModelKind }: LadderConditions,
  add: (description: string, overrides: Partial<ResolvedOptions>, startsAnew: boolean) => void,
): void {
  if (options.network_train_text_encoder_only === true) return;
  const unetOnly = options.network_train_unet_only === true;
  const cache = baseModelKind !== 'sd' && !cachesTextEncoder(options) && options.weighted_captions !== true;
  if (unetOnly && !cache) return;
  const description = [...(unetOnly ? [] : ['U-Net only']), ...(cache ? ['cached text encoder outputs'] : [])];
  const cached: Partial<ResolvedOptions> = {
    cache_text_encoder_outputs: true,
    shuffle_caption: false,
    caption_dropout_rate: undefined,
    caption_tag_dropout_rate: undefined,
    token_warmup_step: undefined,
  };
  const overrides = { network_train_unet_only: true, text_encoder_lr: undefined, ...(cache && cached) };
  add(description.join(', '), overrides, !unetOnly);
}

/** The options in force on a rung; 0 = as configured, a rung above the ladder's end means its last one. */
export function optionsOfRung(options: ResolvedOptions, ladder: readonly MemoryRung[], rung: number): ResolvedOptions {
  return Object.assign({}, options, ...ladder.slice(0, rung).map(({ overrides }) => overrides)) as ResolvedOptions;
}

/** Name of the output folder on a rung: rungs share one as long as they can go on from each other's states. */
export function outputFolderOfRung(ladder: readonly MemoryRung[], rung: number): string {
  const newest = ladder.slice(0, rung).findLastIndex(({ startsAnew }) => startsAnew);
  return newest < 0 ? 'output' : `output-rung-${newest + 1}`;
}
