import type { CellGrid } from './cell-grid.js';
import type { CellScore, CellStatistics } from './cell-statistics.js';
import { EffectsModel, type Spread } from './effects-model.js';

/**
 * Before any score, each of the four deviations is believed to be about 10 points, a third or three times as likely as not.
 * The same for all four, so nothing is assumed about which of them matters. It keeps an estimate from few scores off zero,
 * where the model would stop looking.
 */
const priorMedian = 10;
const priorLogDeviation = 1;
const priorNoiseDegrees = 10;

const deviations = ['style', 'category', 'pair', 'noise'] as const;
const coarseSteps = [1 / 3, 1 / 1.7, 1.7, 3];
const fineSteps = [1 / 1.2, 1.2];
const noiseDegreesTried = [3, 6, 10, 20, 50, 200];
const mostSweeps = 8;

export const priorSpread: Spread = {
  style: priorMedian,
  category: priorMedian,
  pair: priorMedian,
  noise: priorMedian,
  noiseDegrees: priorNoiseDegrees,
};

/**
 * The most probable spread for scores of one or several landscapes, which share it: a landscape that is replaced takes its
 * means with it, not how far they lie apart.
 */
export function estimateSpread(grid: CellGrid, landscapes: readonly CellStatistics[], start: Spread): Spread {
  const fit = (spread: Spread) => {
    const model = new EffectsModel(grid, spread);
    return landscapes.reduce((sum, statistics) => sum + model.logEvidence(statistics), logPrior(spread));
  };
  let best = { spread: start, fit: fit(start) };
  const attempt = (spread: Spread): void => {
    const found = fit(spread);
    if (found > best.fit) best = { spread, fit: found };
  };
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    const before = best.fit;
    const steps = sweep === 0 ? coarseSteps : fineSteps;
    for (const name of deviations) {
      const { spread } = best;
      for (const step of steps) attempt({ ...spread, [name]: spread[name] * step });
    }
    const { spread } = best;
    for (const noiseDegrees of noiseDegreesTried) attempt({ ...spread, noiseDegrees });
    if (sweep > 0 && best.fit - before < 0.05) break;
  }
  return best.spread;
}

/**
 * Noise from neighbours: half the mean squared difference of scores that follow each other in the same cell, which a change
 * of the landscape touches once and no more.
 */
export function noiseFromNeighbours(scores: readonly CellScore[]): Spread {
  const last = new Map<number, number>();
  let [sum, pairs] = [0, 0];
  for (const { cell, score } of scores) {
    const previous = last.get(cell);
    if (previous !== undefined) {
      sum += (score - previous) ** 2 / 2;
      pairs += 1;
    }
    last.set(cell, score);
  }
  const variance = (sum + priorNoiseDegrees * priorMedian ** 2) / (pairs + priorNoiseDegrees);
  return { ...priorSpread, noise: Math.sqrt(variance) };
}

function logPrior(spread: Spread): number {
  const ofDeviations = deviations.reduce(
    (sum, name) => sum + (Math.log(spread[name] / priorMedian) / priorLogDeviation) ** 2,
    0,
  );
  return -0.5 * (ofDeviations + Math.log(spread.noiseDegrees / priorNoiseDegrees) ** 2);
}
