import { estimateDifference, resampleMeans } from '../evaluation/bootstrap.js';
import { TowerError } from '../errors.js';
import { lossNoise } from './loss-noise.js';

/** One saved epoch of a training, as the trainer's driver reads it. */
export interface EpochCandidate {
  /** From 1. */
  readonly epoch: number;
  /** The LoRA after this epoch. */
  readonly path: string;
  readonly sha256: string;
  readonly trainLoss: number | null;
  /** Mean loss over the held-out images, at fixed timesteps; `null` where it was not measured. */
  readonly heldOutLoss: number | null;
  /** Samples with fixed prompts and seeds, in the order of the prompts. */
  readonly samples: readonly string[];
  /** Resolution, precision and batch of its training: losses can be compared where they are equal. */
  readonly conditions?: string | undefined;
  /** Of the trainer's, to load images: with any, the noise of the held-out loss is not the same in each epoch. None when left out. */
  readonly loadingProcesses?: number | undefined;
}

/** Scores of an epoch's samples, in their order; more is better. */
export interface EpochScores {
  readonly epoch: number;
  readonly scores: readonly number[];
}

export interface EpochChoice {
  readonly epoch: number;
  readonly path: string;
  readonly sha256: string;
  readonly method: 'held-out-loss' | 'scorer' | 'held-out-loss-and-scorer' | 'last-epoch';
  /** In words, with the figures. */
  readonly reason: string;
  /** Differences of the held-out loss up to this are noise; `null` where it was not measured or too few epochs tell. */
  readonly noise: number | null;
  readonly epochs: readonly {
    readonly epoch: number;
    readonly trainLoss: number | null;
    readonly heldOutLoss: number | null;
    readonly score: number | null;
    readonly samples: readonly string[];
    /** Not worse than the best beyond noise. */
    readonly eligible: boolean;
  }[];
}

interface Verdict {
  readonly chosen: EpochCandidate;
  readonly method: EpochChoice['method'];
  readonly reason: string;
  readonly eligible: ReadonlySet<number>;
  readonly noise: number | null;
}

/**
 * Chooses the epoch to deliver (docs/character-lora.md, "The epoch"). Pure.
 *
 * @param nothingHeldOut - Why no image was held out, where none was.
 * @throws TowerError `NO_EPOCHS`
 */
export function chooseEpoch(
  epochs: readonly EpochCandidate[],
  scores: readonly EpochScores[] = [],
  nothingHeldOut?: string,
): EpochChoice {
  const sorted = [...epochs].sort((a, b) => a.epoch - b.epoch);
  const last = sorted.at(-1);
  if (last === undefined) {
    throw new TowerError('NO_EPOCHS', 'the training has left no LoRA to choose from', {
      next: 'Look at the logs of the training in the run folder; `tower character train --dataset` trains anew with the same images.',
    });
  }
  const byLoss = judgeByLoss(sorted, last, nothingHeldOut);
  const { chosen, method, reason, eligible, noise } =
    judgeByScore(byLoss, sorted, { scores, nothingHeldOut }) ?? byLoss;
  const { epoch, path, sha256 } = chosen;
  return {
    ...{ epoch, path, sha256, method, noise },
    reason: reason + notCompared(sorted, last) + otherNoise(sorted, last),
    epochs: sorted.map(({ epoch: number, trainLoss, heldOutLoss, samples }) => ({
      ...{ epoch: number, trainLoss, heldOutLoss, samples },
      score: mean(scores.find((entry) => entry.epoch === number)?.scores ?? []),
      eligible: eligible.has(number),
    })),
  };
}

/**
 * The earliest epoch whose held-out loss is not above the lowest by more than noise, counted back from the lowest without a gap.
 * Where every epoch is within noise, the loss says nothing, and the last one stays.
 */
function judgeByLoss(
  epochs: readonly EpochCandidate[],
  last: EpochCandidate,
  nothingHeldOut: string | undefined,
): Verdict {
  const measured = epochs.flatMap((candidate) =>
    isNumber(candidate.heldOutLoss) && candidate.conditions === last.conditions
      ? [{ candidate, loss: candidate.heldOutLoss }]
      : [],
  );
  const lowest = measured.reduce<(typeof measured)[number] | undefined>(
    (best, entry) => (best === undefined || entry.loss < best.loss ? entry : best),
    undefined,
  );
  const all = new Set(epochs.map(({ epoch }) => epoch));
  const byLast = (why: string, noise: number | null): Verdict => ({
    chosen: last,
    method: 'last-epoch',
    reason: `epoch ${last.epoch}, the last one: ${why}`,
    eligible: all,
    noise,
  });
  if (lowest === undefined) {
    return byLast(`no held-out loss was measured${because(nothingHeldOut)}, so no figure tells the epochs apart`, null);
  }
  if (measured.length === 1 && epochs.length > 1) {
    return byLast(`the held-out loss is known of epoch ${lowest.candidate.epoch} only`, null);
  }
  const noise = lossNoise(measured.map(({ loss }) => loss));
  const within = (loss: number) => loss <= lowest.loss + (noise ?? 0);
  if (noise !== null && measured.every(({ loss }) => within(loss))) {
    return byLast(
      `all held-out losses lie within noise (${figure(noise)}) of the lowest, ${figure(lowest.loss)}`,
      noise,
    );
  }
  let first = measured.indexOf(lowest);
  while (first > 0 && within(measured[first - 1]?.loss ?? Infinity)) first -= 1;
  const { candidate: chosen, loss } = measured[first] ?? lowest;
  const eligible = new Set(measured.filter((entry) => within(entry.loss)).map(({ candidate }) => candidate.epoch));
  return { chosen, method: 'held-out-loss', reason: lossReason({ chosen, loss }, lowest, noise), eligible, noise };
}

function lossReason(
  { chosen, loss }: { chosen: EpochCandidate; loss: number },
  lowest: { candidate: EpochCandidate; loss: number },
  noise: number | null,
): string {
  if (chosen === lowest.candidate) {
    const beyond =
      noise === null ? '; too few epochs to tell noise' : `; earlier ones are worse beyond noise (${figure(noise)})`;
    return `epoch ${chosen.epoch}: lowest held-out loss, ${figure(loss)}${beyond}`;
  }
  return (
    `epoch ${chosen.epoch}: held-out loss ${figure(loss)}, within noise (${figure(noise ?? 0)}) of the lowest, ` +
    `${figure(lowest.loss)} of epoch ${lowest.candidate.epoch}; the earlier one has learned less by heart`
  );
}

/**
 * Among the epochs that the loss leaves: the best mean score, or the earliest whose scores are not worse beyond noise, by a paired
 * bootstrap, because the samples of all epochs have the same prompts and seeds.
 */
function judgeByScore(
  byLoss: Verdict,
  epochs: readonly EpochCandidate[],
  { scores, nothingHeldOut }: { readonly scores: readonly EpochScores[]; readonly nothingHeldOut: string | undefined },
): Verdict | undefined {
  const measuredByLoss = byLoss.method === 'held-out-loss';
  const scored = epochs.flatMap((candidate) => {
    const values = scores.find(({ epoch }) => epoch === candidate.epoch)?.scores ?? [];
    const score = mean(values);
    return byLoss.eligible.has(candidate.epoch) && score !== null ? [{ candidate, values, score }] : [];
  });
  const samples = scored[0]?.values.length ?? 0;
  const comparable = scored.filter(({ values }) => values.length === samples);
  const best = comparable.reduce<(typeof scored)[number] | undefined>(
    (top, entry) => (top === undefined || entry.score > top.score ? entry : top),
    undefined,
  );
  if (best === undefined) return undefined;
  const means = resampleMeans(
    { tokens: best.values.map(() => 1), series: comparable.map(({ values }) => values) },
    { seed: 'character epochs' },
  );
  const bestIndex = comparable.indexOf(best);
  const isAsGood = (index: number) =>
    // One sample has no spread that could be noise.
    index === bestIndex || (samples > 1 && estimateDifference(means, index, bestIndex).high >= 0);
  const eligible = new Set(comparable.filter((_, index) => isAsGood(index)).map(({ candidate }) => candidate.epoch));
  const { candidate: chosen, score } = comparable.find((_, index) => isAsGood(index)) ?? best;
  const among = measuredByLoss ? ` among the ${byLoss.eligible.size} within noise of the lowest held-out loss` : '';
  const found =
    chosen === best.candidate
      ? `best mean score${among}, ${figure(score)}`
      : `mean score ${figure(score)}${among}, within noise of the best, ${figure(best.score)} of epoch ${best.candidate.epoch}`;
  return {
    chosen,
    method: measuredByLoss ? 'held-out-loss-and-scorer' : 'scorer',
    reason:
      `epoch ${chosen.epoch}: ${found} (${samples} sample${samples === 1 ? '' : 's'} an epoch)` +
      (nothingHeldOut === undefined ? '' : `; no held-out loss was measured${because(nothingHeldOut)}`),
    eligible,
    noise: byLoss.noise,
  };
}

/** Out of memory, a training goes on with less; a loss that is measured otherwise says nothing about the LoRA. */
function notCompared(epochs: readonly EpochCandidate[], last: EpochCandidate): string {
  const others = epochs.filter(
    ({ heldOutLoss, conditions }) => isNumber(heldOutLoss) && conditions !== last.conditions,
  );
  if (others.length === 0) return '';
  const numbers = others.map(({ epoch }) => epoch).join(', ');
  return `; held-out losses with another resolution, precision or batch are not compared: epoch${others.length === 1 ? '' : 's'} ${numbers}`;
}

/** It is in the estimate of the noise; whoever compares losses by hand has to know. */
function otherNoise(epochs: readonly EpochCandidate[], { loadingProcesses = 0 }: EpochCandidate): string {
  if (loadingProcesses === 0 || !epochs.some(({ heldOutLoss }) => isNumber(heldOutLoss))) return '';
  return `; held-out losses were measured with other noise in each epoch (max_data_loader_n_workers ${loadingProcesses})`;
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason})`;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function isNumber(loss: number | null): loss is number {
  return loss !== null && Number.isFinite(loss);
}

function figure(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
