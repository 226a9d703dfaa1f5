import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { captionFileOf } from '../character/caption-dataset.js';
import { openRun, type CharacterRun } from '../character/character-run.js';
import { readComfyuiRecord, type ComfyuiRecord } from '../character/comfyui-record.js';
import { datasetImages, type DatasetImage } from '../character/dataset-images.js';
import { readJournal, type JournalEntry, type JournalState } from '../character/journal.js';
import type { CharacterJob } from '../character/job.js';
import { readOwnCaptions } from '../character/own-captions.js';
import { coverageOf, readPlan, type AxisCoverage, type CharacterPlan } from '../character/plan.js';
import { proofRecordSchema, type ProofFile } from '../character/proof-record.js';
import { readDelivery, type Delivery } from '../character/publish.js';
import { readReviewHistory, type ReviewHistory } from '../character/review-history.js';
import { readStageFaults, type StageFault } from '../character/stage-faults.js';
import { axes, type Attributes } from '../character/vocabulary.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import { kohyaRunFiles } from '../kohya/run-files.js';
import { createOutputParser } from '../kohya/output-parser.js';
import {
  choiceRecordSchema,
  kohyaRecordSchema,
  outcomeRecordSchema,
  type ChoiceRecord,
  type KohyaRecord,
  type OutcomeRecord,
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

export type ReportedFault = Pick<StageFault, 'at' | 'stage' | 'code' | 'message'>;

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
  /** What the trainer was told, as TOML; with what the out-of-memory ladder has changed. */
  readonly trainerConfig: string | null;
  readonly choice: ChoiceRecord | null;
  readonly delivery: Delivery | null;
  readonly proof: ProofFile | null;
  readonly comfyui: ComfyuiRecord | null;
  /** What people have decided about the contact sheet; `null` when the job asks for no review. */
  readonly review: ReviewHistory | null;
  /** Transient faults that were tried again, and what was put right in ComfyUI: of each kind how often, and the last. */
  readonly faults: readonly ReportedFault[];
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
    readComfyuiRecord(paths.directory),
    readStageFaults(paths.directory),
  ]);
  const training = kohya === undefined ? undefined : await trainingOf(paths.directory, kohya, choice);
  return {
    run: reservation.run,
    version: reservation.number,
    simulated: [kohya, delivery, proof, comfyui].some((record) => record?.simulated === true),
    job,
    dataset: dataset.folder,
    outcome: outcome ?? null,
    images: await reportedImages(run, images),
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
    trainerConfig: (await trainerConfigOf(paths.directory, training)) ?? null,
    choice: choice ?? null,
    delivery: delivery ?? null,
    proof: proof ?? null,
    comfyui: comfyui ?? null,
    review: (await readReviewHistory(run, state)) ?? null,
    faults: [...faults, ...recoveriesIn(state)].sort((one, other) => one.at.localeCompare(other.at)),
  };
}

function recoveriesIn({ recoveries }: JournalState): ReportedFault[] {
  return [...recoveries.values()].map(({ count, last: { at, kind, image, detail } }) => {
    const message = image === null ? detail : `image ${image}: ${detail}`;
    return { at, stage: 'generate', code: kind, message: count === 1 ? message : `${count} times, last ${message}` };
  });
}

async function trainerConfigOf(directory: string, training: TrainingRecord | undefined): Promise<string | undefined> {
  const path = kohyaRunFiles(directory).config(training?.settled?.memoryRung ?? 0);
  return readFile(path, 'utf8').catch(undefinedIfAbsent);
}

async function reportedImages(run: CharacterRun, images: readonly DatasetImage[]): Promise<ReportedImage[]> {
  const own = await readOwnCaptions(run);
  const { dataset } = run;
  const reported: ReportedImage[] = [];
  for (const { file, index, seed, attempt } of images) {
    const text = await readFile(join(dataset.images, captionFileOf(file)), 'utf8').catch(undefinedIfAbsent);
    reported.push({
      index,
      path: join(dataset.images, file),
      ...{ seed, attempt },
      caption: text ?? null,
      edited: text !== undefined && !own.has(file, text),
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
