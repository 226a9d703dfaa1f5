/** Thrown inside the readers of values only; its message says what was expected. */
export class LegacyValueFault extends Error {}

export interface LegacyKey {
  /** The setting of Tower it becomes; none when Tower has no use for it. */
  readonly setting?: readonly string[];
  readonly read: (value: unknown) => unknown;
  /** What the original takes when the key is missing, where that differs from Tower's default. */
  readonly fallback?: unknown;
  /** Said when the key is there but has no effect. */
  readonly unused?: string;
}

/** The key that the original ships as a placeholder, and refuses to run with. */
const placeholderKey = /^\s*$|BITTE_API_KEY|API_KEY_IN_CONFIG/;

const hyperparameter = (...path: string[]) => ['train', 'hyperparameters', ...path];

/**
 * Every key of `app_settings_tower.json` (contract signz-mind 5.1). Numbers may stand as texts, which the original converts;
 * everything else has to have the type that it is meant to have.
 */
export const legacyKeys: Readonly<Record<string, LegacyKey>> = {
  server_api_url: { setting: ['server', 'url'], read: serverAddress },
  // The key itself stays where it is and is read when it is needed.
  tower_api_key: { read: serverKey },
  tower_db_path: { setting: ['data', 'legacyDatabase'], read: text },
  always_run_training_daily: {
    setting: ['train', 'when'],
    read: (value) => (flag(value) ? 'always' : 'changed'),
    fallback: 'always',
  },
  default_adapter_dir: {
    read: text,
    unused: 'it belongs to the manual uploader; `tower adapters` has taken its place',
  },
  device: { read: text, unused: 'the original only logs it; train.device chooses the device' },
  hf_base_model_name_override: { setting: hyperparameter('baseModel'), read: text },
  hf_num_epochs_override: { setting: hyperparameter('epochs'), read: whole },
  hf_batch_size_override: { setting: hyperparameter('batchSize'), read: whole },
  hf_grad_accum_override: { setting: hyperparameter('gradientAccumulation'), read: whole },
  hf_max_length_override: { setting: hyperparameter('maxLength'), read: whole },
  hf_learning_rate_override: { setting: hyperparameter('learningRate'), read: decimal },
  bnb_load_in_4bit_override: { setting: hyperparameter('loadIn4bit'), read: flag },
  bnb_4bit_quant_type_override: { setting: hyperparameter('quantType'), read: text },
  bnb_4bit_compute_dtype_str_override: {
    setting: hyperparameter('computeDtype'),
    read: computeDtype,
    fallback: 'float16',
  },
  bnb_4bit_use_double_quant_override: { setting: hyperparameter('doubleQuantisation'), read: flag },
  lora_r_override: { setting: hyperparameter('lora', 'r'), read: whole },
  lora_alpha_override: { setting: hyperparameter('lora', 'alpha'), read: whole },
  lora_dropout_override: { setting: hyperparameter('lora', 'dropout'), read: decimal },
  lora_target_modules_override: { setting: hyperparameter('lora', 'targetModules'), read: texts },
  hf_train_with_snippets: { setting: ['data', 'snippets'], read: flag },
  hf_snippet_training_quality_label: { setting: ['data', 'snippetQualityLabel'], read: text },
  hf_train_with_feedback: { setting: ['data', 'feedback'], read: flag },
  hf_positive_feedback_types: { setting: ['data', 'positiveFeedbackTypes'], read: texts },
};

/** Whether a key is a real one, not the placeholder of the original. */
export function isServerKey(value: unknown): value is string {
  return typeof value === 'string' && !placeholderKey.test(value);
}

function serverKey(value: unknown): string {
  if (isServerKey(value)) return value;
  throw new LegacyValueFault(
    'expected the key from the admin page of the server, not nothing or the placeholder; TOWER_SERVER_API_KEY or ' +
      'server.apiKeyFile may give it instead',
  );
}

function serverAddress(value: unknown): string {
  const address = text(value).replace(/\/+$/, '');
  if (/^https?:\/\/(?!.*(example\.|BITTE|DEIN|YOUR))/i.test(address)) return address;
  throw new LegacyValueFault('expected the address of your server, http://… or https://…, not a placeholder');
}

function text(value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new LegacyValueFault('expected a text that is not empty');
}

function texts(value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new LegacyValueFault('expected a list of texts');
}

function flag(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new LegacyValueFault('expected true or false, without quotation marks (the original takes any text for true)');
}

function whole(value: unknown): number {
  const number = decimal(value, 'a whole number');
  if (Number.isInteger(number)) return number;
  throw new LegacyValueFault('expected a whole number');
}

function decimal(value: unknown, expected = 'a number'): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new LegacyValueFault(`expected ${expected}`);
}

/** `torch.bfloat16` means bfloat16 where the GPU has it; every other text means float16 to the original. */
function computeDtype(value: unknown): string {
  return text(value) === 'torch.bfloat16' ? 'auto' : 'float16';
}
