/**
 * What workflows know of the activities of the prompt evolution: names, inputs and results, nothing else (see
 * `../interfaces.ts`). Prompts and answers stay in the queue directory; activities are told jobs and runs.
 */

import type {
  DrawRecord,
  GenerationCounts,
  ProductionChoice,
  ProductionReference,
  ProductionRequest,
  PublishRecord,
} from '../../syntx/production/records.js';

export type { DrawRecord, GenerationCounts, ProductionReference, ProductionRequest, PublishRecord };

export interface ProductionDecision extends ProductionChoice {
  readonly heartbeatTimeoutMs: number;
  /** The longest time that making the prompts can take; missing in older histories. */
  readonly generationLimitMs?: number;
}

/** Who consumes: the wrapper, and the workflow run whose leases its jobs have. */
export interface ConsumerReference {
  /** Names the run in the logs. */
  readonly run: string;
  readonly wrapper: string;
  /** Eight characters, the same for all jobs of the run. */
  readonly sessionId: string;
  readonly workflowId: string;
  readonly runId: string;
}

export interface ConsumerPlan {
  readonly batch: number;
  readonly parallel: number;
  /** So many jobs in a row without an answer end the run. */
  readonly stopAfterFaults: number;
  /** Where calls are made: the GPU's own queue when the model uses a GPU of this host. */
  readonly gpu: { readonly queue: string; readonly index: number } | null;
  /** Longest time for one attempt of a job. */
  readonly attemptLimitMs: number;
  readonly heartbeatTimeoutMs: number;
  /** Jobs that went back to `incoming` because nobody works on them any more. */
  readonly takenBack: number;
}

/** A claimed job. */
export interface PromptReference {
  readonly baseName: string;
  readonly token: string;
}

export interface PromptOutcome {
  readonly baseName: string;
  readonly stage: string;
  /** `null`: no answer, or an empty one. */
  readonly score: number | null;
  readonly reason: string | null;
  /** The service said that no model answered; missing in older histories. */
  readonly simulated?: boolean;
}

export interface ConsumerCounts {
  readonly processed: number;
  readonly failed: number;
}

export interface QueueLevels {
  readonly incoming: number;
  readonly processing: number;
  readonly processed: number;
  readonly error: number;
  readonly archive: number;
}

export interface MonitorRecord {
  readonly levels: QueueLevels;
  /** Of what is done, the share in `error`; `null` when nothing is done. */
  readonly errorShare: number | null;
  readonly lastProcessedAt: string | null;
  readonly flags: readonly { readonly code: string; readonly text: string }[];
  readonly takenBack: number;
  /** The guide's line, without its time. */
  readonly line: string;
}

export interface CleanRecord {
  readonly dryRun: boolean;
  readonly temporary: number;
  readonly broken: number;
  readonly logs: number;
  /** Folders of producer runs, in the state directory. */
  readonly runs: number;
  /** At most 50 are named; `cleanup.log` names all. */
  readonly files: readonly {
    readonly kind: string;
    readonly path: string;
    readonly ageHours: number;
    readonly movedTo: string | null;
  }[];
}

/** The page of a day, in `reports/` of the state directory. */
export interface DailyReportRecord {
  /** Local, `YYYY-MM-DD`. */
  readonly day: string;
  readonly file: string;
}

/** On the `tower` queue, on the host that has the queue directory. */
export interface SyntxActivities {
  decideProduction(input: ProductionRequest): Promise<ProductionDecision>;
  /** Draws the prompts of a run, once: a repeated call finds what was drawn. */
  drawPrompts(
    input: ProductionReference & { readonly make: number; readonly logicalTime: string },
  ): Promise<DrawRecord>;
  /** Makes the prompts that are still missing; each is kept as soon as it is paid. */
  generatePrompts(input: ProductionReference): Promise<GenerationCounts>;
  /** Writes what was made into the queue, then archives what taught, then records the run. */
  publishPrompts(input: ProductionReference): Promise<PublishRecord>;
  /** Notes in the producer's log, and in the history, why a run has failed. Without a logical time (an older run's): now. */
  recordNoProduction(
    input: ProductionReference & { readonly reason: string; readonly logicalTime?: string },
  ): Promise<void>;
  openConsumer(input: {
    readonly consumer: ConsumerReference;
    readonly batch?: number | undefined;
  }): Promise<ConsumerPlan>;
  /** The oldest waiting prompt; `null` when none waits. The same claim made again is the same job. */
  claimPrompt(input: { readonly consumer: ConsumerReference; readonly claim: number }): Promise<PromptReference | null>;
  calibratePrompt(input: CalibrationInput): Promise<PromptOutcome>;
  /** Ends a job whose retries are used up: unscored, with its last fault. */
  giveUpPrompt(input: { readonly consumer: ConsumerReference; readonly job: PromptReference }): Promise<PromptOutcome>;
  giveBackPrompt(input: { readonly job: PromptReference }): Promise<void>;
  closeConsumer(input: { readonly consumer: ConsumerReference; readonly counts: ConsumerCounts }): Promise<void>;
  observeQueue(input: { readonly logicalTime: string }): Promise<MonitorRecord>;
  cleanQueue(input: { readonly run: string; readonly dryRun: boolean }): Promise<CleanRecord>;
  /** Writes the page of the local day before, else of the last days that has none; `null`: all are there, nothing happened, or none is wanted. */
  reportDayBefore(input: { readonly logicalTime: string }): Promise<DailyReportRecord | null>;
}

export interface CalibrationInput {
  readonly consumer: ConsumerReference;
  readonly job: PromptReference;
  /** GPU of this host that the model uses; `null`: none. */
  readonly gpuIndex: number | null;
}

/** On the `gpu-<host>-<index>` queue, when the model behind the wrapper service uses that GPU. */
export type SyntxGpuActivities = Pick<SyntxActivities, 'calibratePrompt'>;
