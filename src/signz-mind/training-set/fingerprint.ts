import { sha256Of } from '../../files/sha256.js';

/**
 * What a training would learn: the same fingerprint means the same samples, hyperparameters and base model (which is one
 * of the hyperparameters), so training again would give nothing new. Lower-case hex; the order of keys does not matter.
 */
export function trainingFingerprint(parts: {
  readonly trainingSetSha256: string;
  readonly hyperparameters: Readonly<Record<string, unknown>>;
}): string {
  return sha256Of(JSON.stringify(sortedKeys(parts)));
}

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, child]) => [key, sortedKeys(child)]));
}
