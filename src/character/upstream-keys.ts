import { isDeepStrictEqual } from 'node:util';

type Fields = Readonly<Record<string, unknown>>;

/** Keys of the original's task payloads (contract lora-pipeline.md, section 2), one of an older Tower, and what they are called here. */
const renamed: Readonly<Record<string, string>> = {
  character_name: 'name',
  character_tags: 'tags',
  output_dir: 'outputDir',
  image_dir: 'dataset',
  training_dir: 'dataset',
  output_name: 'output',
  base_model: 'kohya.pretrained_model_name_or_path',
  network_dim: 'kohya.network_dim',
  network_alpha: 'kohya.network_alpha',
  epochs: 'kohya.max_train_epochs',
  learning_rate: 'kohya.learning_rate',
  baseModel: 'baseModelKind',
};

const referenceKeys = ['reference_image', 'referenceImage'];

/**
 * Gives the keys of the original's task payloads, and that of an older Tower, their names in a job, so that all may stand in one file.
 *
 * @returns the renamed fields, and what is wrong with them, one text for each fault.
 */
export function renameUpstreamKeys(input: unknown): { fields: Fields; faults: string[] } {
  if (!isTable(input)) return { fields: {}, faults: ['expected a table of keys and values'] };
  const foreign = (key: string) => Object.hasOwn(renamed, key) || referenceKeys.includes(key);
  let fields: Fields = Object.fromEntries(Object.entries(input).filter(([key]) => !foreign(key)));
  const faults: string[] = referenceKeys.flatMap((key) => referenceFaults(key, input[key]));
  if (typeof input['baseModel'] === 'string' && /[./\\]/.test(input['baseModel'])) {
    faults.push('baseModel: the file to train on is kohya.pretrained_model_name_or_path; its kind is baseModelKind');
  }
  for (const [key, path] of Object.entries(renamed)) {
    if (!Object.hasOwn(input, key)) continue;
    const value = key === 'image_dir' ? datasetOf(input[key]) : input[key];
    if (value === undefined) faults.push('image_dir: expected the folder images of a dataset');
    const [section = '', name] = path.split('.');
    const table = name === undefined ? fields : (fields[section] ?? {});
    if (!isTable(table)) continue;
    const at = name ?? section;
    if (Object.hasOwn(table, at) && !isDeepStrictEqual(table[at], value)) {
      faults.push(`${key} and ${path} mean the same; give one of them`);
    }
    fields = name === undefined ? { ...fields, [at]: value } : { ...fields, [section]: { ...table, [at]: value } };
  }
  return { fields, faults };
}

/** The original took it and never looked at it; null is what its factories send when there is none. */
function referenceFaults(key: string, value: unknown): string[] {
  if (value === null || value === undefined || value === '') return [];
  return [
    `${key}: Tower makes its images from text alone and would not look at it; ` +
      'describe the character, or put the picture into a graph of your own (key graph) by a LoadImage node',
  ];
}

/** The original names the images' folder where Tower names the dataset's. */
function datasetOf(imageDirectory: unknown): string | undefined {
  const [, folder] = typeof imageDirectory === 'string' ? (/^(.+)\/images\/?$/.exec(imageDirectory) ?? []) : [];
  return folder;
}

function isTable(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
