import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { captionFileOf } from '../character/caption-dataset.js';
import { openRun, type CharacterRun } from '../character/character-run.js';
import { datasetImages, type DatasetImage } from '../character/dataset-images.js';
import { readJournal, type JournalEntry, type JournalState } from '../character/journal.js';
import type { CharacterJob } from '../character/job.js';
import { coverageOf, readPlan, type AxisCoverage, type CharacterPlan } from '../character/plan.js';
import { readDelivery, type Delivery } from '../character/publish.js';
import { axes, type Attributes } from '../character/vocabulary.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256Of } from '../files/sha256.js';
import { createOutputParser } from '../kohya/output-parser.js';
import {
  choiceRecordSchema,
  comfyuiRecordSchema,
  kohyaRecordSchema,
  outcomeRecordSchema,
  proofRecordSchema,
  stageFaultsSchema,
  type ChoiceRecord,
  type ComfyuiRecord,
  type KohyaRecord,
  type OutcomeRecord,
  type ProofRecord,
  type StageFaultRecord,
} from './character-records.js';
import type { LossPoint } from './loss-chart.js';
import { readTrainingRecord, type TrainingRecord } from './training-record.js';

export interface ReportedImage {
  readonly index: number | null;
  readonly path: string;
  readonly seed: number | null;
  /** From 1. */
  readonly attempt: number | null;
  readonly caption: string | null;
  /** A person wrote or changed the caption. */
  readonly edited: boolean;
}

export interface ReportedReject extends Pick<JournalEntry<'rejected'>, 'index' | 'code' | 'reason' | 'seed' | 'at'> {
  readonly attempt: number;
  /** `null` when there was no image. */
  readonly path: string | null;
}

/** Everything that is known of one character run. Paths are absolute, times ISO 8601 UTC. */
export interface CharacterReport {
  readonly run: string;
  readonly version: number;
  readonly simulated: boolean;
  readonly job: CharacterJob;
  readonly dataset: string;
  readonly outcome: OutcomeRecord | null;
  readonly images: readonly ReportedImage[];
  readonly rejected: readonly ReportedReject[];
  /** Images of the plan that are not in the dataset, with the last reason. */
  readonly missing: readonly { readonly index: number; readonly reason: string }[];
  /** As planned, and as it came out. */
  readonly coverage: readonly { readonly planned: AxisCoverage; readonly accepted: AxisCoverage }[];
  readonly firstImageAt: string | null;
  readonly lastImageAt: string | null;
  readonly kohya: KohyaRecord | null;
  readonly training: TrainingRecord | null;
  readonly choice: ChoiceRecord | null;
  readonly delivery: Delivery | null;
  readonly proof: ProofRecord | null;
  readonly comfyui: ComfyuiRecord | null;
  /** Transient faults that were tried again. */
  readonly faults: readonly StageFaultRecord[];
}

/** @throws TowerError `NOT_FOUND`, `FILE_INVALID` */
export async function buildCharacterReport(runDirectory: string): Promise<CharacterReport> {
  const run = await openRun(runDirectory);
  const { paths, job, reservation, dataset } = run;
  const [plan, state, images, kohya, choice, delivery, proof, outcome, comfyui, faults] = await Promise.all([
    readPlan(paths.plan),
    readJournal(paths.journal),
    datasetImages(run),
    readJsonIfExists(join(paths.directory, 'kohya.json'), kohyaRecordSchema),
    readJsonIfExists(paths.choice, choiceRecordSchema),
    readDelivery(paths.delivery),
    readJsonIfExists(paths.proof, proofRecordSchema),
    readJsonIfExists(paths.outcome, outcomeRecordSchema),
    readJsonIfExists(join(paths.directory, 'comfyui.json'), comfyuiRecordSchema),
    readJsonIfExists(join(paths.directory, 'stage-faults.json'), stageFaultsSchema),
  ]);
  const training = kohya === undefined ? undefined : await trainingOf(paths.directory, kohya, choice);
  return {
    run: reservation.run,
    version: reservation.number,
    simulated: [kohya, delivery, proof, comfyui].some((record) => record?.simulated === true),
    job,
    dataset: dataset.folder,
    outcome: outcome ?? null,
    images: await reportedImages(run, images, state),
    rejected: state.rejected.map(({ index, code, reason, seed, at, attempt, file }) => ({
      ...{ index, code, reason, seed, at, attempt: attempt + 1 },
      path: file === null ? null : join(dataset.folder, file),
    })),
    missing: missingImages(plan, state),
    coverage: coverages(plan, images),
    firstImageAt: state.firstAt,
    lastImageAt: state.lastAt,
    kohya: kohya ?? null,
    training: training ?? null,
    choice: choice ?? null,
    delivery: delivery ?? null,
    proof: proof ?? null,
    comfyui: comfyui ?? null,
    faults: faults ?? [],
  };
}

async function reportedImages(
  { dataset }: CharacterRun,
  images: readonly DatasetImage[],
  { accepted, captions }: JournalState,
): Promise<ReportedImage[]> {
  const reported: ReportedImage[] = [];
  for (const { file, index } of images) {
    const text = await readFile(join(dataset.images, captionFileOf(file)), 'utf8').catch(undefinedIfAbsent);
    const known = index === null ? undefined : accepted.get(index);
    reported.push({
      index,
      path: join(dataset.images, file),
      seed: known?.seed ?? null,
      attempt: known === undefined ? null : known.attempt + 1,
      caption: text ?? null,
      edited: text !== undefined && captions.get(file)?.has(sha256Of(text)) !== true,
    });
  }
  return reported;
}

function missingImages(
  plan: CharacterPlan | undefined,
  { accepted, rejected }: JournalState,
): CharacterReport['missing'] {
  const reasons = new Map(rejected.map(({ index, reason }) => [index, reason]));
  return (plan?.images ?? [])
    .filter(({ index }) => !accepted.has(index))
    .map(({ index }) => ({ index, reason: reasons.get(index) ?? 'not rendered' }));
}

function coverages(plan: CharacterPlan | undefined, images: readonly DatasetImage[]): CharacterReport['coverage'] {
  if (plan === undefined) return [];
  const shown = images.flatMap(({ attributes }) => (isComplete(attributes) ? [{ attributes }] : []));
  const accepted = coverageOf(shown);
  return coverageOf(plan.images).flatMap((planned, index) => {
    const out = accepted[index];
    return out === undefined ? [] : [{ planned, accepted: out }];
  });
}

function isComplete(attributes: Partial<Attributes> | undefined): attributes is Attributes {
  return attributes !== undefined && axes.every((axis) => attributes[axis] !== undefined);
}

/** The losses by epoch that the choice was made from have more digits than the console's. */
async function trainingOf(
  directory: string,
  { simulated, outputName, samples, epochs }: KohyaRecord,
  choice: ChoiceRecord | undefined,
): Promise<TrainingRecord | undefined> {
  const record = await readTrainingRecord(directory, () =>
    createOutputParser({ simulated, outputName, samples: samples > 0 }),
  );
  const planned = record?.settled?.steps.planned;
  if (record === undefined || planned === undefined) return record;
  const measured = (choice?.epochs ?? []).flatMap(({ epoch, heldOutLoss }): LossPoint[] =>
    heldOutLoss === null ? [] : [{ step: Math.round((epoch * planned) / epochs), loss: heldOutLoss }],
  );
  return measured.length === 0 ? record : { ...record, curve: { ...record.curve, heldOut: measured } };
}
