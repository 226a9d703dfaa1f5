import { stringify } from 'smol-toml';

import type { ResolvedOptions } from './base-model.js';
import { datasetOptions, extraDataOptions, subsetOptions } from './options-data.js';

/** What config.toml says beside the options. Paths are absolute. */
export interface ConfigFile {
  readonly outputDirectory: string;
  readonly outputName: string;
  readonly tensorboard: string;
  /** Left out: no samples. */
  readonly samplePrompts?: string | undefined;
  /** Stands in the LoRA's metadata. */
  readonly comment: string;
  /** Share to hold out; left out: none, or this sd-scripts cannot. */
  readonly heldOutShare?: number | undefined;
}

/** Python reads a number without a point as a whole one, and the data set's checks then refuse it. */
const floats = new Set(['network_multiplier', 'face_crop_aug_range', 'validation_split']);
/** Keys that make no sense without a held-out share. */
const validationKeys = [
  'validation_split',
  'validation_seed',
  'validate_every_n_epochs',
  'validate_every_n_steps',
  'max_validation_steps',
];
const sampleKeys = ['sample_every_n_epochs', 'sample_at_first', 'sample_sampler'];
const dataKeys = new Set([
  ...Object.keys(datasetOptions),
  ...Object.keys(subsetOptions),
  ...Object.keys(extraDataOptions),
]);

type Table = Record<string, unknown>;

/** The keys and values of config.toml: every option that is no matter of the data set, and what Tower sets itself. */
export function configValues(options: ResolvedOptions, file: ConfigFile): Table {
  const { heldOutShare, samplePrompts } = file;
  const left = new Set<string>();
  if (heldOutShare === undefined) for (const key of validationKeys) left.add(key);
  if (samplePrompts === undefined) for (const key of sampleKeys) left.add(key);
  const chosen = Object.entries(options).filter(
    ([name, value]) => value !== undefined && !dataKeys.has(name) && !left.has(name),
  );
  return {
    ...Object.fromEntries(chosen),
    ...(heldOutShare !== undefined && { validation_split: heldOutShare }),
    // The data set has it too; from here it gets into the metadata.
    resolution: options.resolution.join(','),
    output_dir: file.outputDirectory,
    output_name: file.outputName,
    save_model_as: 'safetensors',
    save_state: true,
    logging_dir: file.tensorboard,
    log_with: 'tensorboard',
    ...(samplePrompts !== undefined && { sample_prompts: samplePrompts }),
    training_comment: file.comment,
  };
}

export function configFile(options: ResolvedOptions, file: ConfigFile): string {
  return toToml(configValues(options, file));
}

/** dataset.toml: one data set, with its images and, if there are any, regularisation images as subsets. */
export function datasetFile(options: ResolvedOptions, images: string): string {
  const common = pick(options, Object.keys(subsetOptions));
  const { reg_data_dir: regularisation } = options;
  const subsets: Table[] = [{ image_dir: images, ...common }];
  if (regularisation !== undefined) {
    subsets.push({ ...common, image_dir: regularisation, num_repeats: 1, is_reg: true });
  }
  const dataset = { ...pick(options, Object.keys(datasetOptions)), batch_size: options.train_batch_size, subsets };
  return toToml({ datasets: [dataset] });
}

function pick(options: ResolvedOptions, names: readonly string[]): Table {
  const entries: [string, unknown][] = names.map((name) => [name, options[name as keyof ResolvedOptions]]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function toToml(table: Table): string {
  return `${stringify(withNumberKinds(table, false), { numbersAsFloat: true }).trimEnd()}\n`;
}

/** TOML's writer makes floats of numbers and whole numbers of bigints. */
function withNumberKinds(value: unknown, float: boolean): unknown {
  if (typeof value === 'number') return Number.isInteger(value) && !float ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => withNumberKinds(item, float));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withNumberKinds(item, floats.has(key))]));
}
