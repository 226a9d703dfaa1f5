import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256Of, sha256OfFile } from '../files/sha256.js';
import { loadGraph } from '../comfyui/graph-template.js';
import { readSafetensorsHeader } from '../training/safetensors.js';
import { captionFileOf } from './caption-dataset.js';
import type { CharacterRun } from './character-run.js';
import { datasetImages, type DatasetImage } from './dataset-images.js';
import { readJournal } from './journal.js';
import { readOwnCaptions, type OwnCaptions } from './own-captions.js';
import { readPlan } from './plan.js';
import { readDelivery } from './publish.js';
import { readReviewHistory } from './review-history.js';
import { trainingLineage } from './training-lineage.js';

/** Facts that only the caller knows. */
export interface SidecarFacts {
  readonly towerVersion: string;
  readonly comfyui: { readonly version: string; readonly simulated: boolean } | null;
  /** sd-scripts' commit or version, Python, torch, as the driver reports them. */
  readonly trainer: Readonly<Record<string, string | number | boolean | null>>;
  readonly simulated: boolean;
  /** How the run ended, and why. */
  readonly end: { readonly outcome: string; readonly reason: string };
}

/** Of the LoRA's own metadata (contract kohya.md, section 7), what tells where it comes from. */
const lineageKeys = [
  'ss_base_model_version',
  'ss_sd_model_name',
  'ss_new_sd_model_hash',
  'ss_sd_scripts_commit_hash',
  'ss_training_comment',
  'ss_epoch',
  'ss_steps',
  'ss_training_started_at',
  'ss_training_finished_at',
];
const anyRecord = z.record(z.string(), z.unknown());

/**
 * Writes the sidecar JSON beside the published LoRA: everything it was made from. Writing it again gives the same text.
 *
 * @returns its path. @throws TowerError `NOTHING_DELIVERED`
 */
export async function writeSidecar(run: CharacterRun, facts: SidecarFacts): Promise<string> {
  const { paths, job, dataset, reservation } = run;
  const delivery = await readDelivery(paths.delivery);
  if (delivery === undefined) {
    throw new TowerError('NOTHING_DELIVERED', `${paths.directory} has published no LoRA`, {
      next: 'Let the run go on first.',
    });
  }
  const [plan, journal, choice, proof, training, graph] = await Promise.all([
    readPlan(paths.plan),
    readJournal(paths.journal),
    readJsonIfExists(paths.choice, anyRecord),
    readJsonIfExists(paths.proof, anyRecord),
    trainingLineage(paths.directory),
    graphOf(job.graph),
  ]);
  const { metadata } = await readSafetensorsHeader(delivery.path);
  await writeJsonDurable(delivery.sidecar, {
    version: 1,
    simulated: facts.simulated,
    lora: {
      name: delivery.loraName,
      sha256: delivery.sha256,
      bytes: delivery.bytes,
      publishedAt: delivery.publishedAt,
    },
    character: { name: job.name, trigger: job.trigger, description: job.description, tags: job.tags },
    run: reservation.run,
    ...{ outcome: facts.end.outcome, reason: facts.end.reason },
    versions: { tower: facts.towerVersion, comfyui: facts.comfyui, trainer: facts.trainer },
    baseModel: Object.fromEntries(lineageKeys.flatMap((key) => (key in metadata ? [[key, metadata[key]]] : []))),
    job,
    plan:
      plan === undefined ? null : { seed: plan.seed, images: plan.images.length, negativePrompt: plan.negativePrompt },
    graph,
    dataset: { folder: dataset.folder, images: await imagesOf(run) },
    review: (await readReviewHistory(run, journal)) ?? null,
    training,
    choice: choice ?? null,
    proof: proof ?? null,
  });
  return delivery.sidecar;
}

/** The graph with its placeholders; a file may have been changed or taken away since, which must not hold up the end of a run. */
async function graphOf(source: CharacterRun['job']['graph']): Promise<object> {
  const from = typeof source === 'string' ? source : 'the job';
  const template = await loadGraph(source).catch(() => undefined);
  return { from, sha256: template === undefined ? null : sha256Of(JSON.stringify(template.graph)) };
}

async function imagesOf(run: CharacterRun): Promise<object[]> {
  const images: object[] = [];
  const own = await readOwnCaptions(run);
  for (const image of await datasetImages(run)) images.push(await imageOf(run, image, own));
  return images;
}

async function imageOf(
  { dataset }: CharacterRun,
  { file, index, attributes, sha256: recorded, seed, promptId, prompt, attempt }: DatasetImage,
  own: OwnCaptions,
): Promise<object> {
  const caption = await readFile(join(dataset.images, captionFileOf(file)), 'utf8').catch(undefinedIfAbsent);
  const sha256 = await sha256OfFile(join(dataset.images, file));
  return {
    file,
    index,
    sha256,
    // What follows is of the file as it was made.
    ...(recorded !== null && recorded !== sha256 && { changedSince: true }),
    ...{ seed, promptId, prompt, attempt },
    attributes: attributes ?? null,
    caption: caption ?? null,
    captionSha256: caption === undefined ? null : sha256Of(caption),
    captionEdited: caption !== undefined && !own.has(file, caption),
  };
}
