import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import { isImageFile } from '../kohya/image-files.js';
import type { CharacterRun } from './character-run.js';
import { readJournal } from './journal.js';
import { readPlan } from './plan.js';
import { axes, type Attributes } from './vocabulary.js';

/** An image of a dataset, wherever it came from. */
export interface DatasetImage {
  /** File name in `images/`. */
  readonly file: string;
  /** Of the plan or of the metadata; `null` for an image that no record knows. */
  readonly index: number | null;
  /** What a record says that it shows. */
  readonly attributes: Partial<Attributes> | undefined;
  /** Of the file, as a record has it: somebody may have changed the file since. */
  readonly sha256: string | null;
  readonly promptId: string | null;
  readonly prompt: string | null;
  readonly seed: number | null;
  /** Try in which it was accepted, from 1. */
  readonly attempt: number | null;
}

const attribute = z.string().nullish();
/** Of a `generation_metadata.json`, Tower's or the original's, which has neither index nor metadata. */
const metadataSchema = z.looseObject({
  generated_images: z.array(
    z.looseObject({
      index: z.int().optional(),
      output_path: z.string().optional(),
      sha256: z.string().nullish().catch(null),
      prompt_id: z.string().nullish().catch(null),
      prompt: z.string().nullish().catch(null),
      seed: z.int().nullish().catch(null),
      attempt: z.int().nullish().catch(null),
      metadata: z
        .looseObject({
          pose: attribute,
          expression: attribute,
          angle: attribute,
          lighting: attribute,
          background: attribute,
        })
        .optional(),
    }),
  ),
});

/** Image files in a folder, sorted; links to files are trained with, too. */
export async function imageFilesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.') || !isImageFile(entry.name)) continue;
    const target = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(undefinedIfAbsent) : entry;
    if (target?.isFile() === true) names.push(entry.name);
  }
  return names.sort();
}

/**
 * The images that a run trains with: every image in the folder, because the trainer takes them all, also those that a person has put
 * there; with what the run's journal, or the `generation_metadata.json` of a dataset that was there before, says of it.
 *
 * @throws TowerError `FILE_INVALID`
 */
export async function datasetImages(run: CharacterRun): Promise<DatasetImage[]> {
  const recordOf = run.job.stages.includes('generate') ? await journalRecords(run) : await metadataRecords(run);
  const files = await imageFilesIn(run.dataset.images).catch(undefinedIfAbsent);
  const unknown = { index: null, attributes: undefined, ...noOrigin };
  return (files ?? []).map((file) => ({ file, ...(recordOf(file) ?? unknown) }));
}

const noOrigin = { sha256: null, promptId: null, prompt: null, seed: null, attempt: null };

type Records = (file: string) => Omit<DatasetImage, 'file'> | undefined;

async function journalRecords({ paths }: CharacterRun): Promise<Records> {
  const [plan, { accepted }] = await Promise.all([readPlan(paths.plan), readJournal(paths.journal)]);
  const byFile = new Map(
    (plan?.images ?? []).flatMap(({ index, attributes, prompt }) => {
      const known = accepted.get(index);
      if (known === undefined) return [];
      const { file, sha256, promptId, seed, attempt } = known;
      const origin = { sha256, promptId, prompt, seed, attempt: attempt + 1 };
      return [[file.replace(/^.*\//, ''), { index, attributes, ...origin }] as const];
    }),
  );
  return (file) => byFile.get(file);
}

async function metadataRecords({ dataset }: CharacterRun): Promise<Records> {
  const metadata = await readJsonIfExists(dataset.generationMetadata, metadataSchema);
  const records = metadata?.generated_images ?? [];
  const byFile = new Map(records.map((record) => [record.output_path?.replace(/^.*[\\/]/, ''), record]));
  // One that names its file is of no other: a stranger's picture may have any number in its name.
  const byIndex = new Map(
    records.filter((record) => record.output_path === undefined).map((record) => [record.index, record]),
  );
  const taken = new Set(records.map((record) => record.index));
  return (file) => {
    const index = indexInName(file);
    const record = byFile.get(file) ?? (index === null ? undefined : byIndex.get(index));
    const { sha256 = null, prompt_id: promptId = null, prompt = null, seed = null, attempt = null } = record ?? {};
    const free = index === null || taken.has(index) ? null : index;
    const attributes = knownAttributes(record?.metadata);
    return { index: record?.index ?? free, attributes, ...{ sha256, promptId, prompt, seed, attempt } };
  };
}

/** `elara_007.png`: 7. */
export function indexInName(file: string): number | null {
  const digits = /_(\d{1,9})\.[^.]+$/.exec(file)?.[1];
  return digits === undefined ? null : Number(digits);
}

function knownAttributes(metadata: Readonly<Record<string, unknown>> | undefined): Partial<Attributes> | undefined {
  const known = axes.flatMap((axis) => (typeof metadata?.[axis] === 'string' ? [[axis, metadata[axis]] as const] : []));
  return known.length === 0 ? undefined : Object.fromEntries(known);
}
