/** What the steps of a production are told and tell. Types only: workflows know them too. */

/** One run of the producer; its folder lies under the state directory until what it made is in the queue. */
export interface ProductionReference {
  readonly run: string;
}

export interface ProductionRequest {
  /** ISO 8601 UTC: the scheduled time, or the start of a run by hand. */
  readonly logicalTime: string;
  /** Prompts to make; default: `syntx.generation.count`. */
  readonly count?: number | undefined;
  /** Whatever waits. */
  readonly force: boolean;
}

export interface ProductionChoice extends ProductionReference {
  /** Prompts to make; 0: none. */
  readonly make: number;
  /** Prompts in `incoming`. */
  readonly waiting: number;
  readonly reason: string;
  /** Earlier runs that were interrupted: what they have paid for is published first. */
  readonly leftovers: readonly string[];
  /** Prompts of theirs that are not in the queue yet; missing in older histories. */
  readonly kept?: number;
}

export interface DrawRecord {
  readonly generation: number;
  readonly prompts: number;
  readonly policy: string;
  /** Scored jobs that were learned from; 0: the run explores. */
  readonly learnedFrom: number;
  readonly averageScore: number | null;
  /** Styles and categories that are ahead. */
  readonly ahead: readonly string[];
}

export interface GenerationCounts {
  readonly made: number;
  readonly failed: number;
  /** Why the rest was not tried; `null` when all of it was. */
  readonly stopped: string | null;
  /** USD; 0 without a price. */
  readonly paid: number;
  /** Whether a price is set for the model; missing in older histories. */
  readonly priced?: boolean | undefined;
  readonly simulated: boolean;
}

export interface PublishRecord {
  readonly generation: number;
  readonly written: number;
  readonly archived: number;
}
