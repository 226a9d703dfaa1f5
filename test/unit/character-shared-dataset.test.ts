import { appendFile, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { kohyaDriver } from '../../src/activities/character/kohya-driver.js';
import { refuseDatasetInUse } from '../../src/activities/character/refuse-dataset-in-use.js';
import { captionDataset } from '../../src/character/caption-dataset.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { applyReview } from '../../src/character/review.js';
import { configSchema } from '../../src/config/schema.js';
import { statePaths } from '../../src/config/state-paths.js';
import { sha256Of } from '../../src/files/sha256.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { writeRunOwner } from '../../src/training/run-owner.js';
import { characterFolders, picture, preparedRun, renderAll, type CharacterFolders } from '../support/character-run.js';

const log = pino({ level: 'silent' });
let folders: CharacterFolders;
let dataset: string;

beforeEach(async () => {
  folders = await characterFolders();
  dataset = join(folders.root, 'shared');
  for (const index of [1, 2]) await picture(join(dataset, 'images', `a_${index}.png`), index);
});
afterEach(() => folders.remove());

/** A run on the shared folder that calls its character by this trigger. */
function runOf(trigger: string, fields: Readonly<Record<string, unknown>> = {}): Promise<CharacterRun> {
  const shared = { name: trigger, trigger, dataset, stages: ['tag', 'train'], allowSimulated: true };
  return preparedRun(folders, { ...shared, ...fields });
}

async function caption(run: CharacterRun): Promise<void> {
  await captionDataset(run, { signal: new AbortController().signal, log });
}

/** What comes before each start of the trainer. */
async function prepareTraining({ reservation }: CharacterRun): Promise<void> {
  const config = configSchema.parse({ comfyui: { directory: join(folders.root, 'comfyui') } });
  const paths = { ...statePaths(folders.root), runs: folders.runs };
  await (await kohyaDriver({ config, paths, log }, reservation.run)).prepare();
}

const captionFile = (number: number) => join(dataset, 'images', `a_${number}.txt`);

describe('W26: a run is trained with its own captions, not with those of another run on the same folder', () => {
  it('and says whose they are, until it has written its own again', async () => {
    const [first, second] = [await runOf('first'), await runOf('second')];
    await caption(first);
    await prepareTraining(first);
    await caption(second);
    await expect(prepareTraining(first)).rejects.toMatchObject({
      ...{ code: 'CAPTIONS_OF_OTHER_RUN', retryable: false },
      message: expect.stringMatching(
        /^2 of 2 captions in .+ are not this run's, but those of character_second_v1, such as a_1\.txt: second, /,
      ) as string,
      next: expect.stringContaining('tower character start --run character_first_v1') as string,
    });
    await prepareTraining(second);

    await caption(first);
    await prepareTraining(first);
    await expect(prepareTraining(second)).rejects.toMatchObject({ code: 'CAPTIONS_OF_OTHER_RUN' });
    await prepareTraining(await runOf('third', { stages: ['train'] }));
  });

  it('what a person has written or given in a review is meant', async () => {
    const [first, second] = [await runOf('first'), await runOf('second')];
    await caption(second);
    await caption(first);
    await writeFile(captionFile(1), 'by hand');
    await applyReview(first, { approve: true, captions: [{ index: 2, caption: 'reviewed' }] });
    await prepareTraining(first);
  });

  it('what this run has written by other rules, or nobody knows who, is no other run’s', async () => {
    const [first, second] = [await runOf('first'), await runOf('second')];
    await caption(first);
    // By the rules of an older Tower, and later of another run that happens to write the same.
    await writeFile(captionFile(1), 'older rules');
    const event = {
      event: 'captioned',
      at: new Date().toISOString(),
      image: 'a_1.png',
      sha256: sha256Of('older rules'),
    };
    for (const { reservation } of [first, second]) {
      await appendFile(first.dataset.captionJournal, `${JSON.stringify({ ...event, run: reservation.run })}\n`);
    }
    await prepareTraining(first);
    // A journal of an older Tower does not say which run has written what.
    await caption(second);
    const lines = await readFile(first.dataset.captionJournal, 'utf8');
    await writeFile(first.dataset.captionJournal, lines.replaceAll(/,"run":"\w+"|"run":"\w+",/g, ''));
    await prepareTraining(first);
  });

  it('the same text by two runs is of both', async () => {
    const [first, twin] = [await runOf('first'), await runOf('twin', { trigger: 'first' })];
    await caption(first);
    await caption(twin);
    const later = await runOf('later');
    await caption(later);
    await caption(twin);
    for (const run of [first, twin]) await prepareTraining(run);
  });
});

describe('W26: a folder with which another open run works gets no other captions', () => {
  const open = new Set<string>();
  beforeEach(() => open.clear());

  async function ask({ job }: CharacterRun, folder = dataset): Promise<void> {
    const isOpen = (id: string) => Promise.resolve(open.has(id));
    await refuseDatasetInUse({ job, dataset: folder, runs: folders.runs, workflowId: 'asks', isOpen });
  }

  async function atWork(run: CharacterRun, workflowId: string): Promise<CharacterRun> {
    open.add(workflowId);
    await writeRunOwner(runDirectory(run.paths.directory), { workflowId, workflowRunId: 'x' });
    return run;
  }

  it('but a run that has its folder is not asked again: whoever came later was allowed to', async () => {
    const [first, second] = [await runOf('first'), await runOf('second', { stages: ['train'] })];
    await atWork(second, 'character-lora/second/1');
    await expect(ask(first)).rejects.toMatchObject({ code: 'DATASET_IN_USE' });
    await atWork(first, 'asks');
    await ask(first);
  });

  it('and damaged records of other runs are no reason to refuse one', async () => {
    const [first, second] = [await runOf('first'), await runOf('second')];
    await atWork(first, 'character-lora/first/1');
    for (const file of [first.paths.reservation, runDirectory(first.paths.directory).owner]) {
      const content = await readFile(file);
      await writeFile(file, '{');
      await ask(second);
      await writeFile(file, content);
    }
    await expect(ask(second)).rejects.toMatchObject({ code: 'DATASET_IN_USE' });
  });

  it('while it is open, by whatever name the folder goes', async () => {
    await atWork(await runOf('first'), 'character-lora/first/1');
    const second = await runOf('second');
    const link = join(folders.root, 'link');
    await symlink(dataset, link);
    for (const name of [dataset, link, `${dataset}/`]) {
      await expect(ask(second, name)).rejects.toMatchObject({
        ...{ code: 'DATASET_IN_USE', retryable: false },
        message: expect.stringContaining('character_first_v1 (character-lora/first/1)') as string,
        next: expect.stringContaining('tower watch character-lora/first/1') as string,
      });
    }
    open.clear();
    await ask(second);
  });

  it('also where it trains with what is there, or has made the folder itself', async () => {
    await atWork(await runOf('trains', { stages: ['train'] }), 'trains');
    await expect(ask(await runOf('second'))).rejects.toMatchObject({ code: 'DATASET_IN_USE' });
    const maker = await atWork(await preparedRun(folders, { name: 'maker' }), 'maker');
    await renderAll(maker);
    const other = await runOf('other', { dataset: maker.dataset.folder });
    await expect(ask(other, maker.dataset.folder)).rejects.toMatchObject({
      message: expect.stringContaining('character_maker_v1') as string,
    });
  });

  it('but one that writes the same, none at all, or in another folder does no harm; nor does the run itself', async () => {
    await atWork(await runOf('first'), 'first');
    await ask(await runOf('twin', { trigger: 'first' }));
    await ask(await runOf('trains', { stages: ['train'] }));
    await ask(await runOf('second'), join(folders.root, 'elsewhere'));
    await atWork(await runOf('itself'), 'asks');
    open.delete('first');
    await ask(await runOf('second'));
  });
});
