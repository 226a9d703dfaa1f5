import { join } from 'node:path';

import { z } from 'zod';

import { baseModelKinds, withBaseModelKind } from './base-model.js';

/** Where the files of a kohya run lie in its run folder. `rung`: of the out-of-memory ladder, 0 = as configured. */
export interface KohyaRunFiles {
  /** `kohya.json`, {@link KohyaPlan}. */
  readonly plan: string;
  readonly datasetCheck: string;
  readonly regularisationCheck: string;
  readonly samplePrompts: string;
  /** TensorBoard logs, one folder for each launch. */
  readonly tensorboard: string;
  readonly broken: string;
  config(rung: number): string;
  dataset(rung: number): string;
}

export function kohyaRunFiles(runDirectory: string): KohyaRunFiles {
  const ofRung = (name: string, rung: number): string =>
    join(runDirectory, rung === 0 ? `${name}.toml` : `${name}.rung-${rung}.toml`);
  return {
    plan: join(runDirectory, 'kohya.json'),
    datasetCheck: join(runDirectory, 'dataset-check.json'),
    regularisationCheck: join(runDirectory, 'regularisation-check.json'),
    samplePrompts: join(runDirectory, 'sample-prompts.json'),
    tensorboard: join(runDirectory, 'tensorboard'),
    broken: join(runDirectory, 'broken'),
    config: (rung) => ofRung('config', rung),
    dataset: (rung) => ofRung('dataset', rung),
  };
}

/** How many images are held out, or why none is. */
const heldOutSchema = z.discriminatedUnion('available', [
  z.object({ available: z.literal(true), images: z.int().positive(), of: z.int().positive(), seed: z.int() }),
  z.object({ available: z.literal(false), reason: z.string() }),
]);
export type HeldOut = z.output<typeof heldOutSchema>;

const planFieldsSchema = z.object({
  version: z.literal(1),
  driver: z.string(),
  simulated: z.boolean(),
  /** What Tower found to train on; an older Tower did not say. */
  device: z.enum(['cuda', 'cpu']).optional(),
  baseModelKind: z.enum(baseModelKinds),
  /** Of sd-scripts. */
  sdScripts: z.object({
    version: z.string().nullable(),
    commit: z.string().nullable(),
    /** Versions in its environment; an older Tower did not say. */
    python: z.string().nullable().default(null),
    torch: z.string().nullable().default(null),
  }),
  outputName: z.string(),
  epochs: z.int().positive(),
  /** Images and their sizes, as the check found them. */
  images: z.int().positive(),
  sizes: z.array(z.object({ width: z.int(), height: z.int(), images: z.int() })),
  heldOut: heldOutSchema,
  samples: z.int().nonnegative(),
  /** By rung: what it changes, and the folder (absolute) into which launches on it write. */
  rungs: z.array(z.object({ description: z.string(), output: z.string() })).min(1),
});
export type KohyaPlan = z.output<typeof planFieldsSchema>;

/** `kohya.json`: what was ordered, for those who read the run folder without the job. */
export const kohyaPlanSchema = z.preprocess(withBaseModelKind, planFieldsSchema);

/** Names inside an output folder (contract kohya.md, section 4). */
export const outputFiles = {
  lora: (outputName: string): string => `${outputName}.safetensors`,
  epochLora: (outputName: string, epoch: number): string => `${outputName}-${sixDigits(epoch)}.safetensors`,
  epochState: (outputName: string, epoch: number): string => `${outputName}-${sixDigits(epoch)}-state`,
  /** The epoch in the name of a state folder. */
  epochOfState: (outputName: string, name: string): number | undefined => {
    const digits = name.startsWith(`${outputName}-`)
      ? /^(\d{6,})-state$/.exec(name.slice(outputName.length + 1))
      : null;
    return digits === null ? undefined : Number(digits[1]);
  },
  samples: 'sample',
  /** Epoch and number of the prompt in the name of a sample; samples of one epoch sort by their time. */
  sample: (outputName: string, name: string): { epoch: number; prompt: number; time: string } | undefined => {
    if (!name.startsWith(`${outputName}_e`)) return undefined;
    const parts = /^(\d{6,})_(\d{2,})_(\d{14})(?:_\d+)?\.png$/.exec(name.slice(outputName.length + 2));
    if (parts === null) return undefined;
    return { epoch: Number(parts[1]), prompt: Number(parts[2]), time: parts[3] ?? '' };
  },
};

function sixDigits(epoch: number): string {
  return String(epoch).padStart(6, '0');
}
