import type { FaultClass } from './fault-class.js';
import type { TrainerEvent } from './trainer-events.js';

/** One complete saved state of a trainer, from which it can go on exactly. */
export interface Checkpoint {
  readonly path: string;
  /** Optimiser steps that are inside this state. */
  readonly step: number;
}

/** What the launcher is to start. */
export interface TrainerCommand {
  readonly argv: readonly [string, ...string[]];
  readonly workingDirectory: string;
  /** Added to the allow-listed environment of the worker; never written to disk. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface TrainerCommandOptions {
  readonly resumeFrom: Checkpoint | undefined;
  /** Rung of the out-of-memory ladder, 0 = as configured. */
  readonly memoryRung: number;
}

/** How a launch ended, as far as the kernel and the launcher know. `undefined` code and signal: the launcher died too. */
export interface TrainerExit {
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
}

/**
 * Reads the output of one launch line by line, both streams from their start; returns the events that a line completes. It may
 * remember lines, because some trainers say only once what later lines refer to.
 */
export type LineParser = (line: string, stream: 'stdout' | 'stderr') => readonly TrainerEvent[];

/** Outcome of looking at the files a trainer left: never at its log or exit code alone (design principle 3). */
export type ArtefactCheck =
  | { readonly valid: true; readonly path: string; readonly sha256: string; readonly bytes: number }
  | { readonly valid: false; readonly reason: string };

/**
 * What differs between trainers. Everything else (start, adopt, follow, stop, reap, budget, ledger) is common code in
 * `src/training/`. A driver is made for one run and holds no state: two attempts may use two drivers at the same time.
 */
export interface TrainerDriver {
  /** Name in records and reports, for example `qlora` or `qlora-simulated`. */
  readonly name: string;
  readonly simulated: boolean;
  /** What its steps are, as progress calls them. */
  readonly work: 'training' | 'evaluating';
  /** Writes the trainer's input files into the run folder; the same input gives the same bytes. */
  prepare(): Promise<void>;
  command(options: TrainerCommandOptions): TrainerCommand;
  /** A parser for the output of one launch. */
  createParser(): LineParser;
  /**
   * Complete states, newest first. Torn ones are moved to the run's `broken/` folder and named in the log.
   *
   * @param memoryRung - Only those that a launch on this rung of the ladder can go on from; left out: on the present one.
   */
  completeCheckpoints(memoryRung?: number): Promise<Checkpoint[]>;
  /** The class of a launch that ended without a valid artefact. `outputTail` is the end of stdout and stderr. */
  classify(exit: TrainerExit, events: readonly TrainerEvent[], outputTail: string): FaultClass;
  checkArtefact(): Promise<ArtefactCheck>;
  /**
   * How the trainer is asked for a complete state: by a signal to the trainer process, after which it saves, writes
   * `stopped` and exits; or not at all, then Tower waits for its next regular state.
   */
  readonly pauseBy: 'SIGUSR1' | 'next-checkpoint';
  /** Of a trainer that takes no request: the part of all its steps that lies between two regular states, 0 to 1, where that is known. */
  readonly stateInterval?: number;
  /** Rungs above 0 that the out-of-memory ladder has, in words for records: `['gradient checkpointing', …]`. */
  readonly memoryLadder: readonly string[];
}
