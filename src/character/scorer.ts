import type { ServiceOptions } from '../service-options.js';
import type { EpochCandidate, EpochScores } from './choose-epoch.js';

/**
 * Has a configured command score the samples of each epoch: `argv… sample1 sample2 …` prints one number per sample.
 *
 * @throws TowerError `SCORER_FAILED` (not retryable) with its last words.
 */
export declare function scoreEpochs(
  epochs: readonly EpochCandidate[],
  scorer: { readonly command: readonly string[]; readonly timeoutMinutes: number },
  options: ServiceOptions<{ readonly done: number; readonly total: number }>,
): Promise<EpochScores[]>;
