/**
 * What workflows know of activities: names, inputs and results, nothing else. Imported are only files that hold types and
 * import nothing, so that workflow code compiles without Node's types.
 *
 * Every input is one object, so that fields can be added; every result is a small JSON record (paths, hashes, counts).
 */
import type { LossComparison } from '../evaluation/loss-comparison.js';
import type { IngestSummary } from '../signz-mind/ingest/ingest-summary.js';

export type { Estimate, LossComparison } from '../evaluation/loss-comparison.js';
export type { IngestSummary } from '../signz-mind/ingest/ingest-summary.js';

/** Where a run lives: a GPU host and one of its GPUs. Chosen once, at the start of a run. */
export interface Placement {
  readonly host: string;
  readonly gpuIndex: number;
  readonly hostQueue: string;
  readonly gpuQueue: string;
  /** Timeout for heartbeats of this host's activities; the worker's period is a quarter of it. */
  readonly heartbeatTimeoutMs: number;
  readonly simulated: boolean;
}

/** What the cycle is to train, or why it trains nothing. */
export type TrainingPlan = PlannedTraining | { readonly decision: 'skip'; readonly reason: string };

export interface PlannedTraining {
  readonly decision: 'train';
  readonly reason: string;
  /** Id of the training run; its folder lies under the host's state directory. */
  readonly run: string;
  /** `adapter_ft_<UTC>`, fixed once for this run (contract signz-mind 1.4). */
  readonly version: string;
  readonly samples: number;
  readonly heldOutSamples: number;
  readonly batches: number;
  /** First generation of this cycle; above 0 when the run was stopped before and goes on now. */
  readonly generation: number;
}

/** How a training stopped. Failures are thrown, not returned. */
export type TrainingOutcome = TrainedOutcome | { readonly outcome: 'paused'; readonly step: number };

export interface TrainedOutcome {
  readonly outcome: 'trained';
  readonly plannedSteps: number;
  readonly executedSteps: number;
  /** Steps done twice because they came after the last complete checkpoint. */
  readonly redoneSteps: number;
  readonly launches: number;
  readonly trainLoss: number | null;
  readonly heldOutLoss: number | null;
  readonly adapterSha256: string;
  readonly adapterBytes: number;
  readonly simulated: boolean;
}

/** What an evaluation is to compare. */
export interface EvaluationPlan {
  /** Id of the evaluation's own run. */
  readonly run: string;
  /** Held-out samples that neither candidate nor champion has seen; 0: there is nothing to evaluate. */
  readonly samples: number;
  /** Version of the champion. */
  readonly champion: string | null;
  readonly generation: number;
}

/** How an evaluation stopped. Failures are thrown, not returned. */
export type EvaluationOutcome =
  | {
      readonly outcome: 'evaluated';
      readonly launches: number;
      /** Of the result file with the loss of every sample. */
      readonly resultSha256: string;
      readonly simulated: boolean;
    }
  | { readonly outcome: 'paused' };

/** Which run, and which of its resumes, on which GPU: all that its activities are told. */
export interface RunReference {
  readonly run: string;
  /** Number of resumes so far; a stop of one generation never touches a later one. */
  readonly generation: number;
  readonly gpuIndex: number;
}

/** What a pause has left: the step that the run goes on from. */
export interface PauseRecord {
  /** `idle`: nothing runs that could save a state, and nothing is saved yet; `finished`: the trainer ended by itself first. */
  readonly state: 'saved' | 'idle' | 'finished';
  readonly step: number;
  /** What `step` counts. Default: optimiser steps. */
  readonly unit?: 'steps' | 'images';
}

export interface CycleReference {
  /** The cycle's logical time, ISO 8601 UTC: the scheduled time, or the start of a manual run. */
  readonly logicalTime: string;
}

/** On the `tower` queue: activities that need neither a GPU nor a host's files. */
export interface TowerActivities {
  choosePlacement(input: { readonly host?: string | undefined }): Promise<Placement>;
  /** Host queues of all configured GPU hosts. */
  listHostQueues(): Promise<readonly string[]>;
}

/** On the `gpu-<host>` queue: activities that touch the host's ledger and files, and must get through while a GPU is busy. */
export interface HostActivities {
  ingestBatches(input: CycleReference): Promise<IngestSummary>;
  planTraining(input: CycleReference & { readonly force: boolean }): Promise<TrainingPlan>;
  recordTraining(input: { readonly run: string; readonly outcome: TrainedOutcome }): Promise<void>;
  /** Fixes what a trained candidate is compared with, on which held-out samples. */
  planEvaluation(input: { readonly run: string }): Promise<EvaluationPlan>;
  /** Promotes or rejects a candidate by its evaluation, and records why. */
  decidePromotion(input: {
    readonly run: string;
    /** Id of the evaluation's run. */
    readonly evaluation: string;
    /** Promote whatever was measured. */
    readonly force: boolean;
  }): Promise<PromotionRecord>;
  /** Versions that are promoted but not delivered yet, newest last. */
  listUndelivered(): Promise<readonly string[]>;
  /** `mustFinish`: a batch that could not be marked fails the activity, so that it is tried again. */
  markSettledBatches(input: { readonly mustFinish: boolean }): Promise<MarkSummary>;
  packageAdapter(input: { readonly version: string }): Promise<PackageRecord>;
  uploadAdapter(input: { readonly version: string }): Promise<UploadRecord>;
  /** A person's change of the ledger. Repeatable. */
  editLedger(input: LedgerEdit): Promise<LedgerEditRecord>;
  /** A file or an old tower database of this host. Named by its content, so that it is imported once. */
  importLocalBatch(input: LocalBatchSource): Promise<LocalBatchRecord>;
  recordCycle(input: CycleReference & { readonly outcome: string; readonly reason: string }): Promise<void>;
  pauseTrainer(input: RunReference): Promise<PauseRecord>;
  /** A no-op when nothing runs. */
  stopTrainer(input: RunReference): Promise<{ readonly stopped: boolean }>;
  reapTrainers(): Promise<{ readonly stopped: readonly string[] }>;
  /** Removes files that the configuration keeps no longer; counts them. */
  applyRetention(): Promise<{ readonly removed: number }>;
}

/** On the `gpu-<host>-<index>` queue, one slot: activities that hold the GPU. */
export interface GpuActivities {
  trainAdapter(input: RunReference): Promise<TrainingOutcome>;
  /** `run` is that of the evaluation. */
  evaluateAdapter(input: RunReference): Promise<EvaluationOutcome>;
}

/** What the gate decided about a candidate. */
export interface PromotionRecord {
  readonly version: string;
  readonly promoted: boolean;
  readonly reason: string;
  /** A person wanted it promoted whatever was measured. */
  readonly forced: boolean;
  /** Version that it was compared with. */
  readonly champion: string | null;
  /** `null`: nothing could be measured. */
  readonly losses: LossComparison | null;
  /** Promoted but undelivered versions that this one replaces. */
  readonly supersedes: readonly string[];
}

/** What a person may change in the ledger, each with the reason that is recorded. */
export type LedgerEdit =
  | { readonly edit: 'retry-batch' | 'drop-batch'; readonly batch: string; readonly reason: string }
  | { readonly edit: 'promote'; readonly version: string; readonly reason: string }
  | {
      readonly edit: 'rollback';
      readonly version: string;
      readonly reason: string;
      /** Deliver its adapter again, as a new version with this time (ISO 8601 UTC) in its name. */
      readonly deliverAs?: string | undefined;
    };

export interface LedgerEditRecord {
  /** What was done, in one sentence. */
  readonly done: string;
  /** The batch or version that was changed. */
  readonly target: string;
  /** Undelivered versions that the target replaces. */
  readonly supersedes: readonly string[];
}

/** What becomes a batch without a server. */
export interface LocalBatchSource {
  /** `file`: JSON lines as editors send them; `database`: SQLite file of an old tower, read only. */
  readonly kind: 'file' | 'database';
  /** Absolute, on the host. */
  readonly path: string;
  /** Whose rows they are, `<user id>/<client id>`; only for files. */
  readonly source?: string | undefined;
  /** ISO 8601 UTC. */
  readonly at: string;
}

export interface LocalBatchRecord {
  readonly batch: string;
  /** `false`: the same content was imported before. */
  readonly added: boolean;
  readonly lines: number;
  readonly rows: IngestSummary['rows'];
}

export interface MarkSummary {
  readonly marked: number;
  /** Settled batches that the server would not mark now; the next cycle tries them again. */
  readonly postponed: number;
}

export interface PackageRecord {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface UploadRecord {
  readonly version: string;
  readonly bytes: number;
  /** `false`: the server already had this very package. */
  readonly sent: boolean;
}
