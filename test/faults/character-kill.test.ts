import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { readStageFaults } from '../../src/character/stage-faults.js';
import { captionOf } from '../../src/character/captions.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { readJournal } from '../../src/character/journal.js';
import { planImages } from '../../src/character/plan.js';
import type { CharacterLoraResult } from '../../src/client.js';
import { livingLaunches } from '../../src/training/launch-record.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { CharacterMachine, smallJob } from '../support/character-machine.js';
import { ComfyuiProcess } from '../support/comfyui-process.js';
import { picturesIn, undisturbedPictures } from '../support/dataset-pictures.js';
import { waitUntil } from '../support/wait-until.js';

let machine: CharacterMachine;
let comfyui: ComfyuiProcess;

beforeAll(async () => {
  machine = await CharacterMachine.create({
    killable: true,
    comfyui: { renderMs: 700 },
    settings: { train: { simulatedSecondsPerStep: 0.2 } },
  });
  if (!(machine.comfyui instanceof ComfyuiProcess)) throw new Error('not a process');
  comfyui = machine.comfyui;
});
afterAll(() => machine.close());

/** Every image of the plan with its planned seed and the picture of an undisturbed run, every caption as the plan says, each accepted once. */
async function expectPlannedDataset({ dataset, run }: CharacterLoraResult, job: Readonly<Record<string, unknown>>) {
  const parsed = parseCharacterJob(job);
  const { images } = planImages(parsed);
  const { accepted, rejected } = await readJournal(join(machine.tower.paths.runs, run, 'images.jsonl'));
  expect(rejected).toEqual([]);
  expect([...accepted.values()].map(({ index, seed }) => [index, seed]).sort()).toEqual(
    images.map(({ index, seed }) => [index, seed]).sort(),
  );
  const files = await machine.datasetFiles(dataset);
  for (const { index, attributes } of images) {
    const name = `elara_${String(index).padStart(3, '0')}`;
    expect(files[`${name}.txt`]).toBe(captionOf(parsed, attributes));
    expect(files[`${name}.png`]).toBe(accepted.get(index)?.sha256);
  }
  expect(Object.keys(files)).toHaveLength(2 * images.length);
  await machine.change({ renderMs: 5 });
  const place = { address: comfyui.address, folder: join(machine.tower.home, 'undisturbed') };
  expect(await picturesIn(join(dataset, 'images'))).toEqual(await undisturbedPictures(job, place));
}

it('ends with the same dataset and every planned step once, whatever is killed on the way (W7, W10, W11, W17)', async () => {
  let control = await machine.tower.startControl();
  let gpu = await machine.tower.startGpu();
  // A ComfyUI that is killed is waited for: that is no fault of a stage.
  const limits = { generate: { retries: 0 }, deliver: { retries: 1 } };
  // The first time it is killed while the epoch is chosen.
  const marker = join(machine.tower.home, 'scored');
  const score = `[ -e ${marker} ] || { : > ${marker}; kill -9 $$; }; for sample in "$@"; do echo 1; done`;
  const choose = { scorer: ['sh', '-c', score, 'scorer'], samples: 1 };
  const job = { ...smallJob, limits, choose, kohya: { ...smallJob.kohya, max_train_epochs: 8 } };
  const handle = await machine.start(job);
  const { workflowId } = handle;
  const run = runDirectory(join(machine.tower.paths.runs, 'character_elara_v1'));
  const journal = async () => (await readJournal(join(run.directory, 'images.jsonl'))).accepted.size;

  await waitUntil('2 images', async () => (await journal()) >= 2);
  await machine.tower.kill(gpu);
  gpu = await machine.tower.startGpu();
  await waitUntil('5 images', async () => (await journal()) >= 5);
  await comfyui.kill();
  await comfyui.startAgain();
  await waitUntil('8 images', async () => (await journal()) >= 8);
  await machine.tower.kill(control);
  control = await machine.tower.startControl();
  await comfyui.addFaults([{ prompt: { match: '_v1/with-lora' }, fault: { kind: 'kill', when: 'in-step' } }]);

  await machine.trainingAtStep(workflowId, 5);
  const [trainer] = await livingLaunches(run);
  const trainerPid = trainer?.process.trainerPid ?? Number.NaN;
  // So that it is not done before it is adopted.
  process.kill(trainerPid, 'SIGSTOP');
  await machine.tower.kill(gpu);
  await machine.tower.startGpu();
  await machine.activity(workflowId, 'trainCharacter', ({ progress }) => progress?.adopted === true);
  process.kill(trainerPid, 'SIGCONT');
  // Past the first saved epoch.
  await machine.activity(
    workflowId,
    'trainCharacter',
    ({ progress }) => progress?.adopted === true && (progress.done ?? 0) >= 14,
  );
  process.kill(-(trainer?.process.pid ?? 0), 'SIGKILL');
  await machine.activity(
    workflowId,
    'trainCharacter',
    ({ attempt, progress }) => attempt > 1 && progress?.adopted === false,
  );
  await machine.tower.kill(control);
  await machine.tower.startControl();

  // In the middle of the second proof image.
  await Promise.race([comfyui.exited(), handle.result()]);
  await comfyui.startAgain();

  const result = await handle.result();
  await expectPlannedDataset(result, job);
  expect(result.training?.plannedSteps).toBeGreaterThan(0);
  expect(result.training).toMatchObject({ executedSteps: result.training?.plannedSteps, launches: 2 });
  expect(result).toMatchObject({ images: { accepted: 12 }, lora: { outcome: 'published' } });
  expect(await machine.publishedLoras()).toEqual(['elara_lora-simulated-v1.safetensors']);
  expect(result.proof?.changedShare).toBeGreaterThan(0);
  const faults = await readStageFaults(run.directory);
  expect(faults.map(({ stage, code }) => [stage, code])).toEqual([['deliver', 'SCORER_FAILED']]);
});
