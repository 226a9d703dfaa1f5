import { z } from 'zod';

import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { CharacterRun } from './character-run.js';
import { indexInName, type DatasetImage } from './dataset-images.js';

/** By file name. */
export type ImageNumbers = ReadonlyMap<string, number>;

/** `tower-numbers.json` of a dataset: all runs on it share its contact sheet. */
const numbersSchema = z.record(z.string(), z.int().min(1));

/**
 * The numbers by which a person calls a dataset's images, as the contact sheet shows them: an image's own where no other has it,
 * else the next after the highest. A number once given stays, also when its image is gone: a decision that is carried out a
 * second time after a crash must not hit another image.
 */
export async function numberImages(
  { job, dataset }: Pick<CharacterRun, 'job' | 'dataset'>,
  images: readonly Pick<DatasetImage, 'file' | 'index'>[],
): Promise<ImageNumbers> {
  const given = new Map(Object.entries((await readJsonIfExists(dataset.numbers, numbersSchema)) ?? {}));
  const known = given.size;
  // What a person has put beside planned images may be called anything.
  const makesImages = job.stages.includes('generate');
  const own = images.map(({ file, index }) => index ?? (makesImages ? null : indexInName(file)));
  const times = new Map<number | null, number>();
  for (const number of own) times.set(number, (times.get(number) ?? 0) + 1);
  const used = new Set(given.values());
  let highest = makesImages ? job.count : 0;
  for (const number of [...used, ...own]) highest = Math.max(highest, number ?? 0);
  for (const [position, { file }] of images.entries()) {
    if (given.has(file)) continue;
    const number = own[position] ?? 0;
    const isFree = number > 0 && times.get(number) === 1 && !used.has(number);
    given.set(file, isFree ? number : (highest += 1));
  }
  if (given.size > known) await writeJsonDurable(dataset.numbers, Object.fromEntries(given));
  return given;
}

/** The highest of these images' numbers; 0 when there is none. */
export function highestNumber(numbers: ImageNumbers): number {
  let highest = 0;
  for (const number of numbers.values()) highest = Math.max(highest, number);
  return highest;
}
