import type { GenerationOptions } from './options.js';

/** Pauses before a call is repeated for a rate limit or a connection; after the last one the prompt has failed. */
export const transportPausesMs = [1000, 2000, 4000] as const;
/** So many refusals, or near-duplicates, and the prompt has failed. */
export const mostRefusals = 4;
export const refusalPauseMs = 1000;
export const mostSimilar = 3;

/** A run to which the endpoint gives no completion for so long ends, and the next firing tries again. */
export const patienceMs = 90 * 60_000;

/**
 * The longest time, in milliseconds, that making so many prompts can take: an endpoint that is away at first, then every call as
 * long as it may be, and every prompt with all of its calls.
 */
export function longestGenerationMs(
  prompts: number,
  { parallelism, timeoutSeconds }: Pick<GenerationOptions, 'parallelism' | 'timeoutSeconds'>,
): number {
  const mostAnswers = mostRefusals - 1 + (mostSimilar - 1) + 1;
  const mostCalls = mostAnswers + transportPausesMs.length;
  const pausesMs = transportPausesMs.reduce((sum, pause) => sum + pause, (mostRefusals - 1) * refusalPauseMs);
  const rounds = Math.ceil(prompts / parallelism);
  return Math.ceil(patienceMs + rounds * (mostCalls * timeoutSeconds * 1000 + pausesMs));
}
