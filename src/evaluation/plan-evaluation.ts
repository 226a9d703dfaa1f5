import { join } from 'node:path';

import { TowerError } from '../errors.js';
import { writeFileDurable, writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { adapterFolder, championComparison, type TrainedAdapter } from './champion-comparison.js';
import { evaluationFiles, evaluationPlanSchema, modelSettingsSchema, type EvaluationPlan } from './evaluation-plan.js';
import { unseenSamples } from './unseen-samples.js';

export interface PlanEvaluationInput {
  /** Folder of all runs; an evaluation gets a run folder of its own beside them. */
  readonly runsDirectory: string;
  readonly candidate: TrainedAdapter;
  readonly champion: TrainedAdapter | undefined;
}

export interface PlannedEvaluation {
  /** Id of the evaluation's run: the same candidate against the same champion is the same evaluation. */
  readonly run: string;
  readonly plan: EvaluationPlan;
}

/**
 * Fixes what an evaluation compares: candidate, champion and base model on the candidate's held-out samples, with the base
 * model as the candidate was trained on it. Repeatable: an evaluation that is planned stays as it is.
 *
 * @throws TowerError `CANDIDATE_INCOMPLETE` when the candidate's run folder does not say how it was trained.
 */
export async function planEvaluation(input: PlanEvaluationInput): Promise<PlannedEvaluation> {
  const { candidate, champion } = input;
  const run = [candidate.version, 'evaluation', ...(champion === undefined ? [] : [champion.version])].join('-');
  const files = evaluationFiles(join(input.runsDirectory, run));
  const planned = await readJsonIfExists(files.plan, evaluationPlanSchema);
  if (planned !== undefined) return { run, plan: planned };

  const comparison = champion === undefined ? null : await championComparison(candidate, champion);
  const compared = comparison?.comparison === 'losses' ? champion : undefined;
  const heldOut = await unseenSamples(
    join(candidate.runDirectory, 'dataset', 'heldout.jsonl'),
    compared === undefined ? undefined : join(compared.runDirectory, 'dataset', 'train.jsonl'),
  );
  const plan: EvaluationPlan = {
    version: 1,
    simulated: candidate.simulated,
    candidate: { version: candidate.version, adapter: adapterFolder(candidate) },
    champion: comparison,
    model: await modelSettingsOf(candidate),
    heldOut: { samples: heldOut.samples, seenByChampion: heldOut.seen, sha256: heldOut.sha256 },
  };
  await writeFileDurable(files.heldOut, heldOut.content);
  await writeJsonDurable(files.plan, plan);
  return { run, plan };
}

async function modelSettingsOf({ version, runDirectory }: TrainedAdapter): Promise<EvaluationPlan['model']> {
  const settings = await readJsonIfExists(join(runDirectory, 'config.json'), modelSettingsSchema);
  if (settings !== undefined) return settings;
  throw new TowerError('CANDIDATE_INCOMPLETE', `the run folder of ${version} has no config.json`, {
    next: 'Train again: its folder was changed since the training.',
  });
}
