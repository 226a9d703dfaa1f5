import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';

import { makeRun } from '../../src/activities/character/prepare-run.js';
import { renderDataset } from '../../src/activities/character/render-dataset.js';
import { indexInName } from '../../src/character/dataset-images.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import { sha256Of } from '../../src/files/sha256.js';

/** SHA-256 of the pixels by the image's number: what else is in a file names its run. */
export async function picturesIn(images: string): Promise<Readonly<Record<number, string>>> {
  const hashes: Record<number, string> = {};
  for (const name of await readdir(images)) {
    const number = indexInName(name);
    if (number === null || !name.endsWith('.png')) continue;
    hashes[number] = sha256Of(await sharp(join(images, name)).raw().toBuffer());
  }
  return hashes;
}

/** The pictures of a job that nothing disturbs, made by the same ComfyUI. */
export async function undisturbedPictures(
  job: Readonly<Record<string, unknown>>,
  { address, folder }: { readonly address: string; readonly folder: string },
): Promise<Readonly<Record<number, string>>> {
  const log = pino({ level: 'silent' });
  const [datasets, runs] = [join(folder, 'datasets'), join(folder, 'runs')];
  for (const made of [datasets, runs]) await mkdir(made, { recursive: true });
  // Under another name nothing comes out of ComfyUI's cache as a whole.
  const parsed = parseCharacterJob({ ...job, name: 'Undisturbed' });
  const run = await makeRun({ job: parsed, datasets, runs, owner: 'undisturbed', run: undefined });
  const client = createComfyuiClient({ baseUrl: address, log });
  const { signal } = new AbortController();
  await renderDataset({ run, client, awayMs: 10_000, shouldStop: () => undefined }, { signal, log });
  return picturesIn(run.dataset.images);
}
