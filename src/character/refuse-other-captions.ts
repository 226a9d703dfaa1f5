import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { captionFileOf } from './caption-dataset.js';
import { captionOf } from './captions.js';
import type { CharacterRun } from './character-run.js';
import { datasetImages } from './dataset-images.js';
import { readOwnCaptions } from './own-captions.js';

/** Characters of a caption that a message shows. */
const shownLength = 80;

/**
 * Refuses to train a run that captions its images itself with captions that Tower has written for another run since: its LoRA
 * would answer to the other's trigger. What a person wrote is meant, and so is what this run wrote by the rules of an older Tower.
 *
 * @throws TowerError `CAPTIONS_OF_OTHER_RUN`; not retryable.
 */
export async function refuseOtherCaptions(run: CharacterRun): Promise<void> {
  const { job, dataset, reservation } = run;
  if (!job.stages.includes('tag')) return;
  const own = await readOwnCaptions(run);
  const images = await datasetImages(run);
  const found: { readonly file: string; readonly text: string; readonly writers: readonly string[] }[] = [];
  for (const { file: image, attributes } of images) {
    const file = captionFileOf(image);
    const text = await readFile(join(dataset.images, file), 'utf8').catch(undefinedIfAbsent);
    if (text === undefined || text === captionOf(job, attributes) || !own.has(image, text)) continue;
    const writers = own.writersOf(image, text);
    if (writers.size > 0 && !writers.has(reservation.run)) found.push({ file, text, writers: [...writers] });
  }
  const [first] = found;
  if (first === undefined) return;
  const others = [...new Set(found.flatMap(({ writers }) => writers))];
  const shown = first.text.length > shownLength ? `${first.text.slice(0, shownLength)}…` : first.text;
  throw new TowerError(
    'CAPTIONS_OF_OTHER_RUN',
    `${found.length} of ${images.length} captions in ${dataset.images} are not this run's, but those of ${others.join(', ')}, such as ${first.file}: ${shown}`,
    {
      next: `When ${others.join(', ')} has ended, \`tower character start --run ${reservation.run}\` writes them anew and trains; or give each run a copy of the folder.`,
      details: { captions: found.length, images: images.length, runs: others },
    },
  );
}
