import type { CellGrid } from './cell-grid.js';
import { CellStatistics, type CellScore } from './cell-statistics.js';
import { logSumExp } from './distributions.js';
import { EffectsModel, type Spread } from './effects-model.js';

/** One answer to "since when does the landscape hold?", with its probability. */
export interface Beginning {
  /** Number of the first score of the landscape that holds now. */
  readonly from: number;
  readonly probability: number;
}

export interface Changes {
  /** For the landscape that holds now, most probable first. */
  readonly beginnings: readonly Beginning[];
  /** Where the landscapes begin in the most probable division of the whole history, ascending from 0. */
  readonly division: readonly number[];
}

export interface ChangeOptions {
  /** How many scores a landscape is expected to last; a weak hint, which the scores overrule. */
  readonly expectedLength: number;
  /** A change can be placed between any two blocks of so many scores. */
  readonly blockLength: number;
}

/** An answer that is e^10 times less probable than the best one is given up. */
const worstOdds = 10;
const mostCandidates = 60;

/** A possible beginning while the history is read: `before` and `best` tell how well everything before it is explained. */
interface Candidate {
  readonly block: number;
  /** Log probability of all scores before it, over all ways to divide them. */
  readonly before: number;
  /** The same for the best way alone, and that way. */
  readonly best: number;
  readonly previous: Candidate | undefined;
  readonly statistics: CellStatistics;
  /** Log probability of the scores since it. */
  evidence: number;
}

/**
 * Weighs, for every moment in a history, how well "everything changed then, and nothing since" explains the scores (Bayesian
 * online change point detection with the evidence of the whole model). A batch that falls far outside of what was predicted
 * shifts all weight to a beginning right before it: that is the reset. Scores are in the order of scoring.
 */
export function findChanges(
  grid: CellGrid,
  scores: readonly CellScore[],
  spread: Spread,
  { expectedLength, blockLength }: ChangeOptions,
): Changes {
  const model = new EffectsModel(grid, spread);
  const hazard = Math.min(0.5, blockLength / expectedLength);
  const stays = Math.log(1 - hazard);
  const blocks = Math.ceil(scores.length / blockLength);
  const first: Candidate = {
    ...{ block: 0, before: 0, best: 0, previous: undefined, evidence: 0 },
    statistics: new CellStatistics(grid.size),
  };
  let candidates = [first];
  const explained = (candidate: Candidate, blocksRead: number) =>
    candidate.evidence + (blocksRead - candidate.block - 1) * stays;
  for (let block = 0; block < blocks; block++) {
    const added = scores.slice(block * blockLength, (block + 1) * blockLength);
    for (const candidate of candidates) {
      for (const { cell, score } of added) candidate.statistics.add(cell, score);
      candidate.evidence = model.logEvidence(candidate.statistics);
    }
    candidates = withoutHopeless(candidates, (candidate) => candidate.before + explained(candidate, block + 1));
    if (block + 1 === blocks) break;
    const previous = highest(candidates, (candidate) => candidate.best + explained(candidate, block + 1));
    candidates.push({
      block: block + 1,
      before: logSumExp(candidates.map((one) => one.before + explained(one, block + 1))) + Math.log(hazard),
      best: previous.best + explained(previous, block + 1) + Math.log(hazard),
      previous,
      statistics: new CellStatistics(grid.size),
      evidence: 0,
    });
  }
  const weights = candidates.map((candidate) => candidate.before + explained(candidate, blocks));
  const total = logSumExp(weights);
  const last = highest(candidates, (candidate) => candidate.best + explained(candidate, blocks));
  return {
    beginnings: candidates
      .map(({ block }, index) => ({ from: block * blockLength, probability: Math.exp(weights[index]! - total) }))
      .sort((a, b) => b.probability - a.probability || a.from - b.from),
    division: blocksBefore(last).map((block) => block * blockLength),
  };
}

function withoutHopeless(candidates: readonly Candidate[], weight: (candidate: Candidate) => number): Candidate[] {
  const weighed = candidates.map((candidate) => ({ candidate, weight: weight(candidate) }));
  const floor = Math.max(...weighed.map((one) => one.weight)) - worstOdds;
  const kept = weighed.filter((one) => one.weight >= floor);
  const best = [...kept].sort((a, b) => b.weight - a.weight).slice(0, mostCandidates);
  return kept.filter((one) => best.includes(one)).map(({ candidate }) => candidate);
}

/** Walks back from the last landscape to the first. */
function blocksBefore(last: Candidate): number[] {
  const blocks: number[] = [];
  for (let one: Candidate | undefined = last; one !== undefined; one = one.previous) blocks.unshift(one.block);
  return blocks;
}

function highest(candidates: readonly Candidate[], weight: (candidate: Candidate) => number): Candidate {
  return candidates.reduce((best, candidate) => (weight(candidate) > weight(best) ? candidate : best));
}
