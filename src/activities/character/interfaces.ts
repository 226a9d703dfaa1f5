/**
 * What workflows know of the activities of the Character LoRA: names, inputs and results, nothing else (see
 * `../interfaces.ts`). The job itself and everything about single images stay in the run folder; activities are told the run.
 */

import type { ReviewDecision } from '../../character/review-decision.js';
import type { WaitingReason } from '../../temporal/waiting-reasons.js';
import type { RunReference, TrainingOutcome } from '../interfaces.js';

/** Parts of the pipeline that can be asked for alone, in their order. */
export type CharacterStage = 'generate' | 'tag' | 'train';

/** How much a job presses; `docs/command-line.md` says which Temporal priority a stage gets from it. */
export type CharacterPriority = 'urgent' | 'high' | 'normal' | 'low';

/** A job as a user wrote it, or an earlier run whose job it is. */
export interface JobReference {
  readonly job?: unknown;
  readonly run?: string | undefined;
}

/** A complete job that fits, as far as the workflow has to know it. */
export interface CheckedCharacter {
  /** As the user wrote it; for people only. */
  readonly name: string;
  /** Safe part of ids, folder and file names. */
  readonly slug: string;
  readonly stages: readonly CharacterStage[];
  readonly priority: CharacterPriority;
  /** A person approves the contact sheet before the training. */
  readonly review: boolean;
  /** Fewer accepted images end the run before the training. */
  readonly minImages: number;
  /** Publish the LoRA under its unversioned name too, once it is proven. */
  readonly alias: boolean;
  /** Longest time a stage may take, waiting for the GPU included and pauses not; `null`: no limit. */
  readonly timeoutMs: Readonly<Record<CharacterStage | 'deliver', number | null>>;
  /** The GPU of the host on which ComfyUI renders; of an older Tower: the placement's. */
  readonly imagesGpuIndex?: number;
  /** How many character runs may be at work at once (`character.maxConcurrent`). */
  readonly maxConcurrent: number;
}

/** A run whose folders are there. */
export interface PreparedCharacter {
  /** Id of the run; its folder lies under the host's state directory. */
  readonly run: string;
  /** The dataset folder, absolute, on the host. */
  readonly dataset: string;
  /** Images that the plan asks for, or that the given folder has. */
  readonly planned: number;
  /** A person has approved the dataset already, in an earlier workflow of the run. An older Tower did not say. */
  readonly approved?: boolean;
  /** First generation of the training of this workflow. */
  readonly generation: number;
  /** Images of the dataset come, or will come, from a simulated ComfyUI. */
  readonly simulated: boolean;
}

export interface CharacterReference {
  readonly run: string;
}

export interface CharacterGpuReference extends CharacterReference {
  readonly gpuIndex: number;
}

/** How the images of a run stand. */
export interface ImageCounts {
  readonly planned: number;
  readonly accepted: number;
  readonly rejected: number;
}

/** What one turn on the GPU has rendered; counts are of the whole run. */
export interface RenderTurn extends ImageCounts {
  /** Why it ended with images left to render; `null`: every image is accepted or given up. */
  readonly stopped: string | null;
  readonly simulated: boolean;
}

export interface CaptionRecord {
  /** Images with a caption. */
  readonly images: number;
  /** Captions that a person had edited and that were left alone. */
  readonly kept: number;
  /** Images of unknown attributes, captioned from trigger, tags and description only. */
  readonly withoutMetadata: number;
  readonly contactSheet: string;
  /** Of the numbers on the contact sheet; an older Tower did not say it. */
  readonly highestNumber?: number;
}

/** What a person's decision about the contact sheet has done. */
export interface ReviewRecord {
  readonly rejected: number;
  readonly edited: number;
  /** Images that are to be rendered again. */
  readonly again: number;
}

export interface ChosenEpoch {
  readonly epoch: number;
  readonly epochs: number;
  readonly sha256: string;
  /** The rule and its figures, in one sentence. */
  readonly reason: string;
  readonly trainLoss: number | null;
  readonly heldOutLoss: number | null;
}

export interface PublishedLora {
  readonly outcome: 'published';
  /** As ComfyUI lists it. */
  readonly name: string;
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  /** The unversioned name, where the job asks for it and no file of somebody else has it. */
  readonly alias: string | null;
  /** Why there is no alias, although the job asks for one. */
  readonly aliasRefused?: string;
}

export type PublishRecord =
  | PublishedLora
  /** Made by simulation, and the job does not ask for a delivery of that. */
  | { readonly outcome: 'withheld'; readonly reason: string };

export interface ProofRecord {
  /** Mean absolute difference of the colour values of the two images, 0 to 255. */
  readonly meanAbsolute: number;
  /** Share of pixels that differ, 0 to 1. */
  readonly changedShare: number;
  readonly withLora: string;
  readonly withoutLora: string;
  readonly simulated: boolean;
}

/** How a run ended. */
export interface CharacterEnd {
  readonly outcome: 'succeeded' | 'simulated' | 'failed' | 'cancelled';
  readonly reason: string;
}

/** Who holds, or waits for, one of the places for character runs at work. */
export interface SlotRequest {
  readonly workflowId: string;
  /** Counts this workflow's requests, so that an answer to an earlier one is none to a later one. */
  readonly number: number;
  readonly max: number;
  /** Who presses more goes first; of an older Tower: `normal`. */
  readonly level?: CharacterPriority;
}

/** On the `tower` queue. */
export interface CharacterTowerActivities {
  /** Asks for a place; the answer comes as the signal `slotGranted`. Repeatable. */
  requestSlot(input: SlotRequest): Promise<void>;
  /** Gives a place back, or the request for one. Repeatable. */
  releaseSlot(input: { readonly workflowId: string }): Promise<void>;
  /** Those of the given workflows that run no more. */
  closedWorkflows(input: { readonly workflowIds: readonly string[] }): Promise<readonly string[]>;
  /** Why the pending activities of an open workflow do not come to their end. */
  waitingReasons(input: { readonly workflowId: string }): Promise<readonly WaitingReason[]>;
}

/** On the `gpu-<host>` queue. */
export interface CharacterHostActivities {
  /** Checks a job without touching anything. @throws TowerError `CHARACTER_JOB_INVALID` with every fault at once. */
  checkCharacterJob(input: JobReference): Promise<CheckedCharacter>;
  /**
   * Checks the graph against ComfyUI, reserves the folders and writes job and plan. A repeat by the same owner finds what it
   * has made; with `run` an earlier run is taken over and goes on from what it has.
   */
  prepareCharacter(
    input: JobReference & {
      /** Names this workflow for good, across retries and new executions. */
      readonly owner: string;
    },
  ): Promise<PreparedCharacter>;
  countImages(input: CharacterReference): Promise<ImageCounts>;
  /** Ends what this run still has in ComfyUI's queue. A no-op when all is well; `null`: ComfyUI did not say what there is. */
  clearPrompts(input: CharacterReference): Promise<{ readonly cleared: number | null }>;
  /** Writes `generation_metadata.json`. @throws TowerError `TOO_FEW_IMAGES` */
  finishImages(input: CharacterReference): Promise<ImageCounts>;
  captionCharacter(input: CharacterReference): Promise<CaptionRecord>;
  reviewCharacter(input: CharacterReference & { readonly decision: ReviewDecision }): Promise<ReviewRecord>;
  chooseEpoch(input: CharacterReference): Promise<ChosenEpoch>;
  publishLora(input: CharacterReference): Promise<PublishRecord>;
  /** Publishes the LoRA under its unversioned name too. */
  publishAlias(input: CharacterReference): Promise<PublishedLora>;
  /** Writes how the run ended; for a success also everything it was made from. Repeatable. */
  recordCharacter(input: CharacterReference & CharacterEnd): Promise<void>;
}

/** On the `gpu-<host>-<index>` queue. */
export interface CharacterGpuActivities {
  renderCharacter(input: CharacterGpuReference): Promise<RenderTurn>;
  trainCharacter(input: RunReference): Promise<TrainingOutcome>;
  /** @throws TowerError `LORA_WITHOUT_EFFECT` when both images are the same, `PROOF_BLANK` when one is a plain surface. */
  proveLora(input: CharacterGpuReference): Promise<ProofRecord>;
}
