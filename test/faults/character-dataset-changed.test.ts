import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { kohyaDriver } from '../../src/activities/character/kohya-driver.js';
import { configSchema } from '../../src/config/schema.js';
import { statePaths } from '../../src/config/state-paths.js';
import { endGroup } from '../../src/gpu/end-group.js';
import { livingLaunches } from '../../src/training/launch-record.js';
import { pauseRun } from '../../src/training/pause-run.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { runTraining } from '../../src/training/run-training.js';
import type { TrainingRequest } from '../../src/training/training-request.js';
import { characterFolders, picture, preparedRun, type CharacterFolders } from '../support/character-run.js';
import { writeImages } from '../support/kohya-bench.js';
import { waitUntil } from '../support/wait-until.js';
import { attempt, log, python } from './fixtures/training-bench.js';

let folders: CharacterFolders;
beforeEach(async () => {
  folders = await characterFolders();
});
afterEach(async () => {
  const living = await livingLaunches(runDirectory(join(folders.runs, 'character_elara_v1')));
  for (const launch of living) await endGroup(launch.process, 0);
  await folders.remove();
});

test('a running training is adopted, paused and settled whatever has become of its images and of sd-scripts', async () => {
  const dataset = join(folders.root, 'given');
  await writeImages(join(dataset, 'images'), 8);
  const pretrained_model_name_or_path = join(folders.root, 'base.safetensors');
  await writeFile(pretrained_model_name_or_path, '');
  const kohya = { max_train_epochs: 8, num_repeats: 1, pretrained_model_name_or_path };
  const fields = { dataset, stages: ['train'], allowSimulated: true, minImages: 4, kohya };
  const { reservation, paths: own } = await preparedRun(folders, fields);
  const id = reservation.run;

  const requestWith = async (character: object, generation = 0): Promise<TrainingRequest> => {
    const simulatedSecondsPerStep = generation === 0 ? 0.05 : 0.002;
    const config = configSchema.parse({ character, train: { simulatedSecondsPerStep } });
    const paths = { ...statePaths(folders.root), runs: folders.runs };
    const run = { id, directory: own.directory, workflowId: 'w', workflowRunId: 'r', stateDirectory: folders.root };
    return {
      ...{ driver: await kohyaDriver({ config, paths, log }, id), run, generation, python, graceMs: 500 },
      ...{ gpu: { index: 0, lockPath: join(folders.root, 'gpu-0.lock') }, stall: { limitMs: 60_000 }, minFreeBytes: 0 },
    };
  };

  const first = attempt('detach');
  const running = runTraining(await requestWith({}), first);
  await waitUntil('a step', () => (first.progress.at(-1)?.step ?? 0) > 0);
  first.abort();
  await expect(running).rejects.toThrow('aborted');

  const added = join(dataset, 'images', 'new.png');
  await picture(added, 1);
  const moved = { sdScripts: join(folders.root, 'moved') };
  const second = attempt('detach');
  const adopted = runTraining(await requestWith(moved), second);
  const paused = await pauseRun(await requestWith(moved), { signal: new AbortController().signal, log });
  expect(paused).toMatchObject({ outcome: 'paused', checkpoint: expect.stringContaining('-state') as string });
  expect(await adopted).toEqual(paused);
  expect(second.progress.at(-1)).toMatchObject({ adopted: true, launch: 1 });

  // To start a trainer again takes both.
  await expect(runTraining(await requestWith(moved, 1), attempt())).rejects.toMatchObject({
    code: 'KOHYA_DATASET_INVALID',
    message: expect.stringContaining('new.txt: there is no caption') as string,
  });
  await writeFile(join(dataset, 'images', 'new.txt'), 'elara');
  await expect(runTraining(await requestWith(moved, 1), attempt())).rejects.toMatchObject({
    code: 'SD_SCRIPTS_NOT_FOUND',
  });
  await expect(runTraining(await requestWith({}, 1), attempt())).rejects.toMatchObject({ code: 'DATASET_CHANGED' });
  await rm(added);
  expect(await runTraining(await requestWith({}, 1), attempt())).toMatchObject({ outcome: 'done', launches: 2 });
  await rm(dataset, { recursive: true });
  expect(await runTraining(await requestWith(moved, 1), attempt())).toMatchObject({ outcome: 'done', launches: 2 });
});
