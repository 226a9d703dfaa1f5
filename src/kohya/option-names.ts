/** Options that Tower sets itself, and what to do instead of setting them. */
const ownedByTower: Readonly<Record<string, string>> = {
  output_dir: 'Tower trains in the run folder and publishes from there',
  output_name: 'set the name of the output instead',
  train_data_dir: 'Tower writes the data set of the run into dataset.toml',
  in_json: 'Tower writes the data set of the run into dataset.toml',
  dataset_config: 'Tower writes the data set of the run into dataset.toml',
  config_file: 'Tower writes config.toml; set its options here',
  output_config: 'it makes the trainer end without training',
  debug_dataset: 'it makes the trainer end without training',
  resume: 'Tower resumes from the newest complete state by itself',
  initial_epoch: 'Tower resumes from the newest complete state by itself',
  initial_step: 'Tower resumes from the newest complete state by itself',
  skip_until_initial_step: 'Tower resumes at the begin of an epoch',
  max_train_steps: 'set max_train_epochs: Tower saves, resumes and compares whole epochs',
  save_state: 'Tower saves a state with every LoRA',
  save_state_on_train_end: 'Tower saves a state with every LoRA',
  save_every_n_steps: 'set save_every_n_epochs: sd-scripts counts steps anew after a resume and overwrites files',
  save_last_n_steps: 'set save_last_n_epochs',
  save_last_n_steps_state: 'set save_last_n_epochs_state',
  save_n_epoch_ratio: 'set save_every_n_epochs',
  save_model_as: 'it is always safetensors',
  logging_dir: 'Tower keeps the TensorBoard log in the run folder',
  log_with: 'Tower keeps the TensorBoard log in the run folder',
  log_prefix: 'Tower keeps the TensorBoard log in the run folder',
  log_tracker_name: 'Tower keeps the TensorBoard log in the run folder',
  log_config: 'Tower keeps the TensorBoard log in the run folder',
  console_log_level: 'Tower reads the log of the trainer',
  console_log_file: 'Tower reads the log of the trainer',
  console_log_simple: 'Tower reads the log of the trainer',
  sample_prompts: 'set the samples of the job instead',
  sample_every_n_steps: 'set sample_every_n_epochs: samples belong to epochs',
};

/** What is wrong with each of these keys that are no options. */
export function unknownOptions(keys: readonly string[], known: readonly string[]): string {
  return keys.map((key) => unknownOption(key, known)).join('; ');
}

function unknownOption(key: string, known: readonly string[]): string {
  const reason = Object.hasOwn(ownedByTower, key) ? ownedByTower[key] : undefined;
  if (reason !== undefined) return `${key} cannot be set: ${reason}`;
  const name = nearest(key, known);
  return `there is no option ${key}${name === undefined ? '' : `; is ${name} meant?`}`;
}

/**
 * The known name that was probably meant: the one with the fewest edits, unless more than a third of it would have to change, else the
 * shortest one that has all words of it.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const distances = known.map((candidate) => [candidate, editDistance(name, candidate)] as const);
  const [best] = distances.toSorted(([, one], [, other]) => one - other);
  if (best !== undefined && best[1] <= Math.max(2, name.length / 3)) return best[0];
  const words = name.split('_');
  const longer = known.filter((candidate) => words.every((word) => candidate.split('_').includes(word)));
  return longer.toSorted((one, other) => one.length - other.length)[0];
}

/** Insertions, deletions and substitutions that turn one text into the other (Levenshtein). */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
