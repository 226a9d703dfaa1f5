import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import sharp from 'sharp';

import { createRun, type CharacterRun } from '../../src/character/character-run.js';
import { reserveRun } from '../../src/character/dataset.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { planImages, readPlan } from '../../src/character/plan.js';
import { openReceiver, type Receipt } from '../../src/character/receive-image.js';
import { remainingImages, type RemainingImage } from '../../src/character/remaining-images.js';
import { readJournal } from '../../src/character/journal.js';
import { writeJsonDurable } from '../../src/files/durable-write.js';
import { SeededRandom } from '../../src/seeded-random.js';

/** A folder for one test with room for runs, datasets and LoRAs. */
export interface CharacterFolders {
  readonly root: string;
  readonly runs: string;
  readonly datasets: string;
  readonly loras: string;
  remove(): Promise<void>;
}

export async function characterFolders(): Promise<CharacterFolders> {
  const root = await mkdtemp(join(tmpdir(), 'tower-character-'));
  const [runs, datasets, loras] = ['runs', 'datasets', 'loras'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [runs, datasets, loras]) await mkdir(folder);
  return { root, runs, datasets, loras, remove: () => rm(root, { recursive: true, force: true }) };
}

let owners = 0;

/** A prepared run of small images, as the first activity leaves it. */
export async function preparedRun(
  { runs, datasets }: CharacterFolders,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<CharacterRun> {
  const job = parseCharacterJob({
    ...{ name: 'Elara', description: '1girl, brown hair', tags: ['1girl', 'armor'], count: 6, width: 64, height: 64 },
    ...fields,
  });
  const { runDirectory } = await reserveRun({ runs, datasets, job, owner: `test/${(owners += 1)}` });
  const run = await createRun(runDirectory, job);
  if (job.stages.includes('generate')) await writeJsonDurable(run.paths.plan, planImages(job));
  return run;
}

/** What is still to be rendered. */
export async function remaining({ paths, job }: CharacterRun): Promise<RemainingImage[]> {
  const plan = await readPlan(paths.plan);
  if (plan === undefined) return [];
  return [...remainingImages(plan, await readJournal(paths.journal), { imageRetries: job.limits.imageRetries })];
}

/** Renders all that remains as a renderer would, with pictures that differ by their seeds. */
export async function renderAll(
  run: CharacterRun,
  paint: (target: string, image: RemainingImage) => Promise<void> = paintPicture,
): Promise<Receipt[]> {
  const receiver = await openReceiver(run);
  const receipts: Receipt[] = [];
  try {
    const queue = await remaining(run);
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const path = receiver.targetOf(next);
      await paint(path, next);
      const receipt = await receiver.receive({ remaining: next, path, promptId: `prompt-${next.seed}` });
      receipts.push(receipt);
      if (receipt.result === 'again') queue.unshift(receipt.next);
    }
  } finally {
    await receiver.close();
  }
  return receipts;
}

const paintPicture = (target: string, { seed }: RemainingImage) => picture(target, seed);

/** Writes a picture that follows from a seed: coloured clouds, so that perceptual hashes differ. */
export async function picture(
  path: string,
  seed: number,
  size: { width: number; height: number } = { width: 64, height: 64 },
) {
  await mkdir(dirname(path), { recursive: true });
  await (await pictureOf(seed, size)).toFile(path);
}

/** As {@link picture}, not yet written: the ending of the file decides its format. */
export async function pictureOf(
  seed: number,
  { width, height }: { width: number; height: number },
): Promise<sharp.Sharp> {
  const random = new SeededRandom(`picture ${seed}`);
  const cells = 9;
  const colours = Buffer.from(Array.from({ length: cells * cells * 3 }, () => random.between(0, 255)));
  const raw = { width: cells, height: cells, channels: 3 } as const;
  const large = await sharp(colours, { raw }).resize(width, height, { fit: 'fill', kernel: 'cubic' }).png().toBuffer();
  return sharp(large);
}

/** A run to caption a dataset as somebody else has left it: these pictures, all different. */
export async function givenDataset(
  folders: CharacterFolders,
  images: readonly string[],
  fields: Readonly<Record<string, unknown>> = {},
): Promise<CharacterRun> {
  const dataset = join(folders.root, 'existing');
  for (const [index, name] of images.entries()) await picture(join(dataset, 'images', name), index);
  return preparedRun(folders, { dataset, stages: ['tag'], description: '1girl, brown hair', ...fields });
}
