import { ApplicationFailure, condition, defineUpdate, setHandler } from '@temporalio/workflow';

import type { PauseRecord } from '../activities/interfaces.js';

/** Stops the run after a complete state; the answer says from which step it will go on. */
export const pauseUpdate = defineUpdate<PauseRecord>('pause');
/** Lets a paused run go on from its saved state. */
export const resumeUpdate = defineUpdate<undefined>('resume');

/** The answer to a pause that has nothing to save. */
export const nothingSaved: PauseRecord = { state: 'idle', step: 0 };

/**
 * Whether a person has paused this run. One instance for each workflow execution; it registers the two updates.
 *
 * A stage that can be paused in its middle registers how with {@link during}; other stages are simply not started.
 */
export class PauseControl {
  #paused = false;
  #stopping = false;
  #held = false;
  #atGate = 0;
  #pauseStage: (() => Promise<PauseRecord>) | undefined;

  constructor(onChange: (paused: boolean) => void) {
    const change = (paused: boolean): void => {
      this.#paused = paused;
      onChange(paused);
    };
    setHandler(
      pauseUpdate,
      async (): Promise<PauseRecord> => {
        change(true);
        this.#stopping = true;
        try {
          return this.#pauseStage ? await this.#pauseStage() : nothingSaved;
        } catch (error) {
          // No complete state came in time: the run goes on, and does not claim to be paused.
          change(false);
          throw error;
        } finally {
          this.#stopping = false;
        }
      },
      {
        validator: () => {
          if (this.#paused) throw ApplicationFailure.nonRetryable('this run is paused already', 'ALREADY_PAUSED');
        },
      },
    );
    setHandler(
      resumeUpdate,
      () => {
        change(false);
        return undefined;
      },
      {
        validator: () => {
          if (!this.#paused) throw ApplicationFailure.nonRetryable('this run is not paused', 'NOT_PAUSED');
        },
      },
    );
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Paused, and the stage that can be interrupted has stopped. */
  get settled(): boolean {
    return this.#paused && !this.#stopping;
  }

  /** Stands at a gate: what cannot be interrupted has come to its end, too. */
  get atRest(): boolean {
    return this.settled && this.#atGate > 0;
  }

  /** Nothing may begin: paused, or held up by {@link hold}. */
  get standsStill(): boolean {
    return this.#paused || this.#held;
  }

  /** Keeps the run where it is, also after the pause, until it has back what it has given away meanwhile. */
  hold(held: boolean): void {
    this.#held = held;
  }

  /** Waits while the run is held up. */
  async released(): Promise<void> {
    await condition(() => !this.#held);
  }

  /** Before a stage: waits while the run stands still. */
  async gate(): Promise<void> {
    this.#atGate += 1;
    try {
      await condition(() => !this.standsStill);
    } finally {
      this.#atGate -= 1;
    }
  }

  /** For a clock beside the stages: waits while the run stands still. */
  async moving(): Promise<void> {
    await condition(() => !this.standsStill);
  }

  /** Runs a stage that `pauseStage` can interrupt after a complete state. */
  async during<T>(pauseStage: () => Promise<PauseRecord>, stage: () => Promise<T>): Promise<T> {
    this.#pauseStage = pauseStage;
    try {
      return await stage();
    } finally {
      this.#pauseStage = undefined;
    }
  }
}
