import { join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256Of } from '../files/sha256.js';
import { readCaptionEvents, type CaptionEvent } from './caption-journal.js';
import type { CharacterRun } from './character-run.js';

/** Tells captions that Tower, or the system it replaces, has written from those of a person. */
export interface OwnCaptions {
  /** @param image - File name of the image. */
  has(image: string, text: string): boolean;
  /** Whether a person has given it in a review: what was approved does not change any more. */
  isReviewed(image: string, text: string): boolean;
  /** The runs that have written it, as far as that is known. */
  writersOf(image: string, text: string): ReadonlySet<string>;
}

const taggingResultsSchema = z.looseObject({
  tagged_files: z.array(z.looseObject({ image: z.string(), tags: z.string(), edited: z.boolean().optional() })),
});

/**
 * What is known of the captions of a run's dataset, whichever run has written them. `tagging_results.json` comes only when a
 * captioning has come to its end; the journal that lies in the dataset also knows those of one that was cancelled or killed.
 * Files of other programs under these names say nothing.
 */
export async function readOwnCaptions({ dataset, paths }: CharacterRun): Promise<OwnCaptions> {
  // An older Tower had them under a name that others use too, or in the run's journal only.
  const journals = [dataset.captionJournal, join(dataset.folder, 'captions.jsonl'), paths.journal];
  const events = (await Promise.all(journals.map(readCaptionEvents))).flat();
  const keysOf = (wanted: string) => new Set(events.flatMap((event) => (event.event === wanted ? [keyIn(event)] : [])));
  const [captioned, reviewed] = [keysOf('captioned'), keysOf('reviewed')];
  const results = await readJsonIfExists(dataset.taggingResults, taggingResultsSchema).catch(undefinedIfForeign);
  const earlier = new Map(
    (results?.tagged_files ?? []).flatMap(({ image, tags, edited }) =>
      edited === true ? [] : [[image.replace(/^.*[\\/]/, ''), tags]],
    ),
  );
  const keyOf = (image: string, text: string) => keyIn({ image, sha256: sha256Of(text) });
  const isReviewed = (image: string, text: string) => reviewed.has(keyOf(image, text));
  const writers = writersIn(events);
  return {
    isReviewed,
    writersOf: (image, text) => writers.get(keyOf(image, text)) ?? new Set(),
    has: (image, text) =>
      !isReviewed(image, text) && (captioned.has(keyOf(image, text)) || earlier.get(image) === text),
  };
}

function keyIn({ image, sha256 }: Pick<CaptionEvent, 'image' | 'sha256'>): string {
  return `${sha256} ${image}`;
}

function writersIn(events: readonly CaptionEvent[]): ReadonlyMap<string, ReadonlySet<string>> {
  const writers = new Map<string, Set<string>>();
  for (const event of events) {
    if (event.event !== 'captioned' || event.run === undefined) continue;
    writers.set(keyIn(event), (writers.get(keyIn(event)) ?? new Set()).add(event.run));
  }
  return writers;
}

function undefinedIfForeign(error: unknown): undefined {
  if (error instanceof TowerError && error.code === 'FILE_INVALID') return undefined;
  if ((error as NodeJS.ErrnoException).code === 'EISDIR') return undefined;
  throw error;
}
