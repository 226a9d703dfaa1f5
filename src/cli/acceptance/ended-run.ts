import { join } from 'node:path';

import type {
  CaptionRecord,
  ChosenEpoch,
  ImageCounts,
  ProofRecord,
  PublishedLora,
  PublishRecord,
} from '../../activities/character/interfaces.js';
import type { TrainedOutcome } from '../../activities/interfaces.js';
import { describeError, TowerError } from '../../errors.js';
import { buildCharacterReport, type CharacterReport } from '../../report/character-report.js';
import type { CommandContext } from '../command-context.js';
import { characterRunOf } from '../runs/write-character-report.js';

type Steps = Pick<TrainedOutcome, 'plannedSteps' | 'executedSteps' | 'redoneSteps' | 'launches' | 'trainLoss'>;

/** What the table of proofs asks of a run, however that has ended: the result of one that succeeded is such a thing. */
export interface EndedRun {
  readonly outcome: 'succeeded' | 'simulated' | 'failed';
  readonly reason: string;
  readonly simulated: boolean;
  /** `null`: it had not come that far. So it is below. */
  readonly dataset: string | null;
  readonly images: Pick<ImageCounts, 'rejected'> | null;
  readonly captions: Pick<CaptionRecord, 'withoutMetadata'> | null;
  readonly training: (Steps & Pick<TrainedOutcome, 'simulated'>) | null;
  readonly chosen: Pick<ChosenEpoch, 'reason'> | null;
  readonly lora:
    Pick<PublishedLora, 'outcome' | 'name' | 'file' | 'sha256'> | Exclude<PublishRecord, PublishedLora> | null;
  readonly proof: Pick<ProofRecord, 'changedShare' | 'meanAbsolute'> | null;
}

/** The records of the run that a workflow has worked on; `undefined` when it has left none. */
export async function recordsOf(
  { paths, output }: Pick<CommandContext, 'paths' | 'output'>,
  workflowId: string,
): Promise<CharacterReport | undefined> {
  try {
    return await buildCharacterReport(join(paths.runs, await characterRunOf(paths.runs, workflowId)));
  } catch (error) {
    if (!(error instanceof TowerError) || error.code !== 'NOT_FOUND') output.say(describeError(error));
    return undefined;
  }
}

/** A run that has failed, as far as its records tell. */
export function failedRun(failure: unknown, records: CharacterReport | undefined): EndedRun {
  const { dataset = null, choice = null, delivery, proof = null, training, simulated = false } = records ?? {};
  const code = failure instanceof TowerError ? `${failure.code}: ` : '';
  return {
    outcome: 'failed',
    reason: code + describeError(failure),
    simulated,
    dataset,
    images: records === undefined ? null : { rejected: records.rejected.length },
    captions: null,
    training: stepsOf(training),
    chosen: choice,
    lora:
      delivery == null
        ? null
        : { outcome: 'published', name: delivery.loraName, file: delivery.path, sha256: delivery.sha256 },
    proof,
  };
}

function stepsOf(training: CharacterReport['training'] | undefined): EndedRun['training'] {
  const settled = training?.settled;
  if (settled == null) return null;
  const { steps, launches, trainLoss, simulated } = settled;
  return {
    ...{ plannedSteps: steps.planned, executedSteps: steps.executed, redoneSteps: steps.redone },
    ...{ launches, trainLoss, simulated },
  };
}
