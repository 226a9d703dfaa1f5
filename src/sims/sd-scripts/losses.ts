import type { TrainingState } from './states.js';

/** The mean that the bar shows: over the losses of this epoch so far and, behind them, those of the epoch before. */
export class LossWindow {
  readonly #losses: number[] = [];

  /** By the step's place in its epoch. */
  set(index: number, loss: number): void {
    this.#losses[index] = loss;
  }

  /** `undefined` before the first step. NaN for good once a loss was. */
  get mean(): number | undefined {
    if (this.#losses.length === 0) return undefined;
    return this.#losses.reduce((sum, loss) => sum + loss, 0) / this.#losses.length;
  }
}

/** Falls from about 0.2 to 0.1, with a little noise that belongs to the step. */
export function lossAt({ step, chain }: TrainingState, totalSteps: number): number {
  const noise = Number.parseInt(chain.slice(0, 4), 16) / 0xffff - 0.5;
  return 0.1 + 0.1 * Math.exp((-3 * step) / totalSteps) + 0.02 * noise;
}

/** Falls until two thirds of the epochs, then rises: the last epoch is not the best. */
export function heldOutLossAfter(epoch: number, epochs: number): number {
  return 0.12 + 0.08 * (epoch / epochs - 2 / 3) ** 2;
}
