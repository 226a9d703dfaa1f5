import { execa, type Result } from 'execa';

import { TowerError } from '../errors.js';
import { findProgram } from '../files/find-program.js';
import type { ServiceOptions } from '../service-options.js';
import type { EpochCandidate, EpochScores } from './choose-epoch.js';

export interface Scorer {
  /** Program and arguments. */
  readonly command: readonly string[];
  /** For the samples of one epoch. */
  readonly timeoutMinutes: number;
}

const minute = 60_000;
const lastWords = 2_000;

/**
 * Has a configured command score the samples of each epoch: `command… sample1 sample2 …` prints one number per sample. Epochs
 * without samples are left out.
 *
 * @throws TowerError `SCORER_FAILED` with its last words; retryable only when somebody has killed it.
 */
export async function scoreEpochs(
  epochs: readonly Pick<EpochCandidate, 'epoch' | 'samples'>[],
  scorer: Scorer,
  { signal, onProgress, log }: ServiceOptions<{ readonly done: number; readonly total: number }>,
): Promise<EpochScores[]> {
  const sampled = epochs.filter(({ samples }) => samples.length > 0);
  const scored: EpochScores[] = [];
  for (const { epoch, samples } of sampled) {
    const scores = await scoreSamples(scorer, samples, signal);
    scored.push({ epoch, scores });
    log.info({ epoch, scores }, 'samples scored');
    onProgress?.({ done: scored.length, total: sampled.length });
  }
  return scored;
}

async function scoreSamples(scorer: Scorer, samples: readonly string[], signal: AbortSignal): Promise<number[]> {
  const [program = '', ...fixed] = scorer.command;
  const result = await execa(program, [...fixed, ...samples], {
    cancelSignal: signal,
    timeout: scorer.timeoutMinutes * minute,
    stdin: 'ignore',
    reject: false,
    maxBuffer: 1_000_000,
  });
  signal.throwIfAborted();
  // Such as the system when memory is short: the next try may succeed.
  const isKilled = result.isTerminated && !result.timedOut;
  if (result.failed) throw failed(scorer, endOf(result, scorer), { retryable: isKilled });
  const scores = result.stdout.split(/\s+/).filter(Boolean).map(Number);
  if (scores.length !== samples.length || !scores.every(Number.isFinite)) {
    throw failed(
      scorer,
      `expected ${samples.length} numbers, one a sample, found ${JSON.stringify(result.stdout.slice(0, 200))}`,
    );
  }
  return scores;
}

function endOf({ timedOut, signal, exitCode, shortMessage, stderr }: Result, { timeoutMinutes }: Scorer): string {
  const words = typeof stderr === 'string' && stderr !== '' ? `: ${stderr.slice(-lastWords)}` : '';
  if (timedOut) return `no answer within ${timeoutMinutes} minutes${words}`;
  if (signal !== undefined) return `ended by ${signal}${words}`;
  return `${exitCode === undefined ? (shortMessage ?? 'it did not start') : `exit code ${exitCode}`}${words}`;
}

function failed({ command }: Scorer, reason: string, { retryable } = { retryable: false }): TowerError {
  return new TowerError('SCORER_FAILED', `the scorer ${command.join(' ')} failed: ${reason}`, {
    retryable,
    next: 'Mend the program where it is, then `tower character start --run` goes on from the finished training, with the job as it is.',
  });
}

/**
 * Looks whether a configured scorer can be started, before hours of rendering and training.
 *
 * @throws TowerError `SCORER_NOT_FOUND`
 */
export async function requireScorer([program = '']: Scorer['command']): Promise<void> {
  if ((await findProgram(program)) !== undefined) return;
  const where = program.includes('/')
    ? 'is no program that may be executed'
    : 'is no program on the PATH of the worker';
  throw new TowerError('SCORER_NOT_FOUND', `${program}, which choose.scorer names, ${where}`, {
    next: 'Put it there, executable, on the GPU host; or start a new run with another choose.scorer, or none: the held-out loss then decides alone.',
  });
}
