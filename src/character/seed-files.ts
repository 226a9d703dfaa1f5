import { writeJsonDurable } from '../files/durable-write.js';
import type { CharacterRun } from './character-run.js';
import type { DatasetImage } from './dataset-images.js';
import { readJournal, type JournalEntry, type JournalState } from './journal.js';
import { readPlan, type CharacterPlan } from './plan.js';
import { namesSetAside } from './set-aside.js';

/** One caption of a dataset, for `tagging_results.json`. */
export interface TaggedImage {
  /** File name. */
  readonly image: string;
  /** What is known of the image. */
  readonly record: Omit<DatasetImage, 'file'>;
  readonly tagsFile: string;
  readonly tags: string;
  /** Whether a person wrote it. */
  readonly edited: boolean;
}

/**
 * Writes `generation_metadata.json` from plan and journal: every key of the original (contract lora-pipeline.md, section 6), and
 * per image what the original lost. The same journal gives the same file.
 */
export async function writeGenerationMetadata(run: CharacterRun): Promise<void> {
  const plan = await readPlan(run.paths.plan);
  if (plan === undefined) return;
  const state = await readJournal(run.paths.journal);
  const { job, dataset } = run;
  await writeJsonDurable(dataset.generationMetadata, {
    character_name: job.name,
    total_requested: job.count,
    total_generated: state.accepted.size,
    total_failed: job.count - state.accepted.size,
    output_directory: dataset.folder,
    images_directory: dataset.images,
    generated_images: plan.images.flatMap((image) => {
      const accepted = state.accepted.get(image.index);
      return accepted === undefined ? [] : [generatedImage(run, plan, { image, accepted })];
    }),
    failed_generations: plan.images
      .filter(({ index }) => !state.accepted.has(index))
      .map(({ index }) => ({ index, error: lastReason(state, index) })),
    timestamp: localTime(state.lastAt),
    run: run.reservation.run,
    plan_seed: plan.seed,
    timestamp_utc: state.lastAt,
    rejected_images: state.rejected.map(({ index, attempt, seed, promptId, code, reason, file, at }) => ({
      ...{ index, attempt: attempt + 1, seed, prompt_id: promptId, code, reason, file, at },
    })),
  });
}

function generatedImage(
  run: CharacterRun,
  { negativePrompt }: CharacterPlan,
  { image, accepted }: { readonly image: CharacterPlan['images'][number]; readonly accepted: JournalEntry<'accepted'> },
): object {
  const { promptId, seed, file, sha256, bytes, width, height, perceptualHash, attempt, at } = accepted;
  return {
    prompt_id: promptId,
    output_path: `${run.dataset.folder}/${file}`,
    prompt: image.prompt,
    seed,
    status: 'completed',
    index: image.index,
    negative_prompt: negativePrompt,
    metadata: image.attributes,
    ...{ file, sha256, bytes, width, height, perceptual_hash: perceptualHash, attempt: attempt + 1, accepted_at: at },
  };
}

/** Writes `tagging_results.json` with every key of the original (contract lora-pipeline.md, section 7), and what it lost. */
export async function writeTaggingResults(run: CharacterRun, tagged: readonly TaggedImage[]): Promise<void> {
  const setAside = await namesSetAside(run.dataset);
  await writeJsonDurable(run.dataset.taggingResults, {
    character_name: run.job.name,
    image_directory: run.dataset.images,
    total_images: tagged.length,
    tagged_successfully: tagged.length,
    failed_tags: 0,
    tagged_files: tagged.map(({ image, tagsFile, tags, edited, record: { index, attributes, sha256, promptId } }) => ({
      ...{ image, tags_file: tagsFile, tags, edited },
      ...{ index, metadata: attributes ?? null, sha256, prompt_id: promptId },
    })),
    failures: [],
    run: run.reservation.run,
    edited_by_hand: tagged.filter(({ edited }) => edited).length,
    ...(setAside.length > 0 && { set_aside: setAside }),
  });
}

function lastReason({ rejected }: JournalState, index: number): string {
  return rejected.findLast((entry) => entry.index === index)?.reason ?? 'not rendered';
}

/** As the original writes it: local time without a zone. */
function localTime(at: string | null): string | null {
  if (at === null) return null;
  const time = new Date(at);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().replace('Z', '');
}
