import { z } from 'zod';

import { largestSampleSide } from '../kohya/samples.js';
import { checkThresholdsSchema } from './check-thresholds.js';
import { kohyaSectionSchema } from './kohya-section.js';
import { defaultOutputOf, displayName, outputNameOf, slugOf } from './names.js';
import { captionQuality, negativeTerms, promptQuality } from './vocabulary.js';

/** Stages in their order; a job does them all, or a run of neighbours. */
export const characterStages = ['generate', 'tag', 'train'] as const;
export type CharacterStage = (typeof characterStages)[number];

export const characterPriorities = ['urgent', 'high', 'normal', 'low'] as const;

/** 2³¹ − 1: the range of the seeds of the pipeline that Tower replaces. */
export const largestSeed = 2_147_483_647;

const minutes = z.number().positive().max(100_000);
const text = (longest: number) => z.string().max(longest);
/** A list, or one text with commas. */
const tagList = z
  .union([z.array(text(200)), text(10_000).transform((list) => list.split(','))])
  .transform((tags) => tags.map(oneLine).filter((tag) => tag !== ''));
const absolutePath = z.string().startsWith('/', 'expected an absolute path');
/** Latent images are an eighth of the size. */
const side = z.int().min(64).max(8192).multipleOf(8);

/**
 * `timeoutMinutes` null: no fixed end; silence ends it instead. A limit counts waiting for the GPU, so a default would end a
 * finished training whose proof waits for its turn. `retries` counts further tries after transient faults.
 */
const stageLimit = (retries: number) =>
  z
    .strictObject({
      timeoutMinutes: minutes.nullable().default(null),
      retries: z.int().min(0).max(1000).default(retries),
    })
    .prefault({});

const limitsSchema = z.strictObject({
  /** Each image has its own two limits, so forty slow ones are no fault. */
  generate: stageLimit(2),
  tag: stageLimit(2),
  train: stageLimit(3),
  /** Choosing the epoch, publishing and the proof images. */
  deliver: stageLimit(5),
  /** Until ComfyUI begins with an image that waits in its queue. */
  imageStartMinutes: minutes.default(30),
  /** From its begin to its end. */
  imageRenderMinutes: minutes.default(15),
  /** How often one image is rendered again, each time with another seed, when the check or a person rejects it. */
  imageRetries: z.int().min(0).max(100).default(3),
});

const deliverSchema = z.strictObject({
  /** Publish `<output>.safetensors` too, which always is the newest version. */
  alias: z.boolean().default(false),
  /** Publish LoRAs of the simulated trainer, under names that say so. */
  simulated: z.boolean().default(false),
});

const chooseSchema = z.strictObject({
  /** Pictures with a fixed seed that the trainer draws after each epoch. */
  samples: z.int().min(0).max(8).default(2),
  /** Program and arguments; called once per epoch with the paths of its samples, prints one number per sample: more is better. */
  scorer: z.array(z.string().min(1)).min(1).nullable().default(null),
  scorerTimeoutMinutes: minutes.default(10),
});

const proofSchema = z.strictObject({
  /** `null`: trigger, tags and the first part of the description. One line: the trainer draws its samples from it too. */
  prompt: text(5_000)
    .transform(oneLine)
    .refine((prompt) => prompt !== '', 'expected a prompt, or none for the default')
    .nullable()
    .default(null),
  seed: z.int().min(1).max(largestSeed).default(42),
  strength: z
    .number()
    .min(-10)
    .max(10)
    .refine((strength) => strength !== 0, 'expected another number than 0, with which a LoRA changes nothing')
    .default(1),
});

const fieldsSchema = z.strictObject({
  /** As people write it; file names get a cleaned form. */
  name: z
    .string('expected the name of the character')
    .max(1_000)
    .transform(displayName)
    .refine((name) => name !== '', 'expected a name that can be read'),
  /** Begins every prompt; its part before the first comma goes into the captions. */
  description: text(5_000).transform(oneLine).default(''),
  tags: tagList.prefault([]),
  /** The word that calls the character; default: the name. */
  trigger: text(200).optional(),
  triggerInCaptions: z.boolean().default(true),
  triggerInPrompts: z.boolean().default(false),
  /** File name of the LoRA without version and extension; default `<lower_snake_name>_lora`. */
  output: text(1_000).optional(),
  /** The dataset's folder, which must not exist or be empty; default: the next free `<Name>-v<N>` in `character.datasets`. */
  outputDir: absolutePath.optional(),
  /** An existing dataset's folder (with `images/`), for `tag` and `train` without `generate`. */
  dataset: absolutePath.optional(),
  stages: z
    .array(z.enum(characterStages))
    .min(1)
    .default([...characterStages]),
  count: z.int().min(1).max(10_000).default(40),
  /** Fewer accepted images end the run before training; default: 90 % of `count`, rounded up (an existing dataset: 1). */
  minImages: z.int().min(1).max(10_000).optional(),
  /** Everything that is drawn for the plan follows from it. */
  seed: z.int().min(0).max(largestSeed).default(1),
  width: side.default(768),
  height: side.default(768),
  steps: z.int().min(1).max(1_000).default(28),
  cfg: z.number().min(0).max(100).default(7.5),
  sampler: z.string().min(1).default('dpmpp_2m'),
  scheduler: z.string().min(1).default('karras'),
  /** As ComfyUI lists it. */
  checkpoint: z.string().min(1).default('dreamshaper_8.safetensors'),
  /** `default`, the path of a graph in API format with named placeholders, or the graph itself. */
  graph: z.union([z.string().min(1), z.record(z.string(), z.unknown())]).default('default'),
  negative: tagList.prefault([...negativeTerms]),
  promptQuality: tagList.prefault([...promptQuality]),
  captionQuality: tagList.prefault([...captionQuality]),
  /** Also captions that a person edited are written anew. */
  overwriteCaptions: z.boolean().default(false),
  check: checkThresholdsSchema.prefault({}),
  /** What kind of model is trained on: Stable Diffusion 1.x and 2.x, SDXL, or FLUX.1. Which one it is, `kohya` or `checkpoint` says. */
  baseModelKind: z.enum(['sd', 'sdxl', 'flux']).default('sd'),
  kohya: kohyaSectionSchema.default({}),
  choose: chooseSchema.prefault({}),
  proof: proofSchema.prefault({}),
  deliver: deliverSchema.prefault({}),
  limits: limitsSchema.prefault({}),
  /** Wait for a person's approval of the contact sheet before training. */
  review: z.boolean().default(false),
  priority: z.enum(characterPriorities).default('normal'),
  host: z.string().min(1).optional(),
  /** Train with the stand-in where sd-scripts is missing. */
  allowSimulated: z.boolean().default(false),
});

/** Names of a job's keys, without those of its sections. */
export const jobKeys: readonly string[] = Object.keys(fieldsSchema.shape);

/**
 * Everything that decides one character run: what `job.json` holds, complete. Parsing a parsed job changes nothing. Keys of the
 * original's task payloads are renamed before ({@link parseCharacterJob}).
 */
export const characterJobSchema = fieldsSchema
  .superRefine((job, context) => {
    for (const [path, message] of contradictions(job)) context.addIssue({ code: 'custom', path: [path], message });
  })
  .transform((job) => ({
    ...job,
    trigger: triggerOf(job.trigger ?? job.name) || slugOf(job.name),
    output: job.output === undefined ? defaultOutputOf(job.name) : outputNameOf(job.output),
    minImages: job.minImages ?? (job.stages.includes('generate') ? Math.ceil(job.count * 0.9) : 1),
    stages: characterStages.filter((stage) => job.stages.includes(stage)),
  }));

export type CharacterJob = z.output<typeof characterJobSchema>;

type Fields = z.output<typeof fieldsSchema>;

function contradictions(job: Fields): [keyof Fields, string][] {
  const has = (stage: CharacterStage) => job.stages.includes(stage);
  const found: [keyof Fields, string][] = [];
  if (has('generate') && job.description === '') found.push(['description', 'expected what the character looks like']);
  if (has('generate') && has('train') && !has('tag'))
    found.push(['stages', 'generate and train need tag between them']);
  if (has('generate') && job.dataset !== undefined) {
    found.push(['dataset', 'generate makes a dataset of its own; name its folder by outputDir']);
  }
  if (!has('generate') && job.dataset === undefined) {
    found.push(['dataset', 'expected the folder of an existing dataset, because generate is not among the stages']);
  }
  if (!has('generate') && job.outputDir !== undefined) found.push(['outputDir', 'only generate makes a folder']);
  if (job.minImages !== undefined && job.minImages > job.count && has('generate')) {
    found.push(['minImages', `expected at most count (${job.count})`]);
  }
  if (job.review && !has('generate') && !has('tag')) {
    found.push(['review', 'train alone has no contact sheet to decide about; take tag and train']);
  }
  const { caption_extension: extension } = job.kohya;
  if (has('tag') && extension !== undefined && extension !== '.txt') {
    found.push(['kohya', 'kohya.caption_extension: captions are written as .txt; leave it out, or train without tag']);
  }
  for (const name of ['width', 'height'] as const) {
    if (!has('train') || job.choose.samples === 0 || job[name] <= largestSampleSide) continue;
    const remedy = 'choose.samples = 0 draws none';
    found.push([
      name,
      `expected at most ${largestSampleSide}, because the trainer draws samples of this size; ${remedy}`,
    ]);
  }
  if (job.trigger !== undefined && triggerOf(job.trigger) === '') found.push(['trigger', 'expected a word']);
  if (job.deliver.simulated && !job.allowSimulated) {
    found.push(['deliver', 'deliver.simulated has no meaning without allowSimulated']);
  }
  return found;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** One tag: a comma would make it two, and the trainer keeps only the first in its place. */
function triggerOf(trigger: string): string {
  return trigger.replace(/[,\s\p{Cc}]+/gu, ' ').trim();
}
