import type { ServiceOptions } from '../service-options.js';
import type { TrainerDriver } from './trainer-driver.js';

/** What to train, where, and within which limits. Durations are milliseconds. */
export interface TrainingRequest {
  readonly driver: TrainerDriver;
  readonly run: TrainingRun;
  /** Counts the resumes of the run; a stop intent forbids one generation. */
  readonly generation: number;
  readonly gpu: { readonly index: number; readonly lockPath: string };
  /** Runs the launcher. */
  readonly python: string;
  /** No output and no step for this long means that the trainer hangs. */
  readonly stall: { readonly limitMs: number };
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** How long a pause may wait for a complete state, at least: longer where a trainer takes longer from one to the next. Default 30 min. */
  readonly pauseLimitMs?: number;
  /** Free space on the run folder's disk below which no trainer is started, in bytes. Default 1 GiB. */
  readonly minFreeBytes?: number;
  /** Runs before a trainer is started, while the GPU is free: other programs make room. Its errors are the attempt's. */
  readonly beforeLaunch?: (options: ServiceOptions) => Promise<unknown>;
}

export interface TrainingRun {
  readonly id: string;
  /** The run folder, absolute. */
  readonly directory: string;
  readonly workflowId: string;
  /** With `workflowId` the execution that owns the run; a trainer whose owner is closed is reaped. */
  readonly workflowRunId: string;
  readonly stateDirectory: string;
}

/** What an activity heartbeats while it follows a trainer. Small: it travels through Temporal every few seconds. */
export interface TrainingProgress {
  readonly launch: number;
  readonly pid: number;
  /** Whether the trainer was already running when this attempt began. */
  readonly adopted: boolean;
  readonly stage: 'starting' | 'training' | 'evaluating' | 'saving';
  readonly step: number;
  readonly totalSteps: number | null;
  readonly epoch: number | null;
  readonly loss: number | null;
  readonly learningRate: number | null;
  readonly tokensPerSecond: number | null;
  readonly stepsPerSecond: number | null;
  readonly etaSeconds: number | null;
  /** Start of the launch, ISO 8601 UTC. */
  readonly since: string;
  readonly simulated: boolean;
}
