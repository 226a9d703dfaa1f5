type Fields = Readonly<Record<string, unknown>>;

/** Keys of the original's task payloads (contract lora-pipeline.md, section 2) and what they are called here. */
const renamed: Readonly<Record<string, string>> = {
  character_name: 'name',
  character_tags: 'tags',
  output_dir: 'outputDir',
  training_dir: 'dataset',
  output_name: 'output',
  base_model: 'kohya.pretrained_model_name_or_path',
  network_dim: 'kohya.network_dim',
  network_alpha: 'kohya.network_alpha',
  epochs: 'kohya.max_train_epochs',
  learning_rate: 'kohya.learning_rate',
};

/**
 * Gives the keys of the original's task payloads their names in a job, so that both kinds may stand in one file.
 *
 * @returns the renamed fields, and what is wrong with them, one text for each fault.
 */
export function renameUpstreamKeys(input: unknown): { fields: Fields; faults: string[] } {
  if (!isTable(input)) return { fields: {}, faults: ['expected a table of keys and values'] };
  const fields: Record<string, unknown> = {};
  const faults: string[] = [];
  const set = (key: string, value: unknown, from: string) => {
    const [section, name] = key.split('.');
    if (section === undefined) return;
    if (name === undefined) {
      if (key !== from && key in input) faults.push(`${from} and ${key} mean the same; give one of them`);
      fields[key] = value;
      return;
    }
    const table = fields[section] ?? input[section];
    if (isTable(table) && name in table) faults.push(`${from} and ${key} mean the same; give one of them`);
    fields[section] = { ...(isTable(table) ? table : {}), [name]: value };
  };
  for (const [key, value] of Object.entries(input)) {
    if (key === 'reference_image' || key === 'referenceImage') faults.push(...referenceFaults(key, value));
    else if (key === 'image_dir') set('dataset', datasetOf(value), key);
    else if (!(key in fields) || !isTable(value)) set(renamed[key] ?? key, value, key);
    else fields[key] = { ...value, ...(fields[key] as Fields) };
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

/** The original names the images' folder where Tower names the data set's. */
function datasetOf(imageDirectory: unknown): unknown {
  return typeof imageDirectory === 'string' ? imageDirectory.replace(/\/images\/?$/, '') : imageDirectory;
}

function isTable(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
