import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, expect, it } from 'vitest';

import { captionOf } from '../../src/character/captions.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { readJournal } from '../../src/character/journal.js';
import { planImages } from '../../src/character/plan.js';
import type { ReviewDecision } from '../../src/character/review-decision.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { approveUpdateName } from '../../src/workflows/names.js';
import type { ReviewAnswer } from '../../src/workflows/review-control.js';
import { CharacterMachine, smallJob } from '../support/character-machine.js';
import { picturesIn, undisturbedPictures } from '../support/dataset-pictures.js';

const killer = fileURLToPath(new URL('fixtures/die-at-point.js', import.meta.url));

/** An effect is there, but not reported; or a file is written, but not in its place. */
const points = [
  ...['prepareCharacter rename 2', 'renderCharacter rename 1', 'renderCharacter after', 'captionCharacter rename 3'],
  ...['finishImages rename 1', 'reviewCharacter rename 1'],
  ...['trainCharacter after', 'chooseEpoch rename 1', 'publishLora rename 1', 'publishLora after'],
  ...['proveLora rename 2', 'publishAlias rename 2', 'recordCharacter after'],
];

let machine: CharacterMachine | undefined;
afterAll(() => machine?.close());

it(
  'killed -9 between the stages and inside of them, a run ends as if nothing had happened (W7, W10, W11)',
  { timeout: 400_000 },
  async () => {
    machine = await CharacterMachine.create({
      inMemory: true,
      environment: { DEATH_POINTS: JSON.stringify(points), NODE_OPTIONS: `--import ${killer}` },
      settings: { worker: { heartbeatSeconds: 0.2 } },
    });
    const { tower } = machine;
    const deaths = join(tower.home, 'deaths');
    let over = false;
    const alive = async (start: () => Promise<GuardedProcess>) => {
      while (!over) await (await start()).exited;
    };
    const own = { DEATHS: deaths };
    const living = [alive(() => tower.startControl(own)), alive(() => tower.startGpu(0, own))];
    const small = {
      ...{ count: 4, review: true, deliver: { simulated: true, alias: true } },
      kohya: { ...smallJob.kohya, max_train_epochs: 1 },
    };
    const handle = await machine.start(small);
    const decide = (decision: ReviewDecision) =>
      handle.executeUpdate<ReviewAnswer, [ReviewDecision]>(approveUpdateName, { args: [decision] });
    // Workers die on the way.
    const review = () => machine?.stage(handle.workflowId, 'review', 180_000);
    await review();
    const captions = [{ index: 2, caption: 'elara, edited by hand' }];
    expect(await decide({ approve: false, reject: [{ index: 3 }], captions })).toMatchObject({ rejected: 1, again: 1 });
    await review();
    await decide({ approve: true });
    const result = await handle.result();
    over = true;
    await tower.stopWorkers();
    await Promise.all(living);
    expect(existsSync(deaths) ? readFileSync(deaths, 'utf8').trim().split('\n').sort() : []).toEqual(points.toSorted());

    const job = parseCharacterJob({ ...smallJob, ...small });
    const { images } = planImages(job);
    const { accepted, rejected } = await readJournal(join(tower.paths.runs, result.run, 'images.jsonl'));
    // What a person refused was refused once, and only that has another seed.
    expect(rejected.map(({ index, code, attempt }) => [index, code, attempt])).toEqual([[3, 'person', 0]]);
    const files = await machine.datasetFiles(result.dataset);
    expect(Object.keys(files)).toHaveLength(8);
    for (const { index, seed, attributes } of images) {
      expect(accepted.get(index)?.seed === seed).toBe(index !== 3);
      const caption = index === 2 ? 'elara, edited by hand' : captionOf(job, attributes);
      expect(files[`elara_00${index}.txt`]).toBe(caption);
      expect(files[`elara_00${index}.png`]).toBe(accepted.get(index)?.sha256);
    }
    expect(await readdir(machine.datasets)).toEqual(['Elara-v1']);
    const alias = 'elara_lora-simulated.safetensors';
    expect(await machine.publishedLoras()).toEqual(['elara_lora-simulated-v1.safetensors', alias]);
    expect(result.lora).toMatchObject({ outcome: 'published', alias });
    expect(result.proof?.changedShare).toBeGreaterThan(0);
    // Four images, one again, two proofs: what was rendered when a worker died was taken over.
    if (!('statistics' in machine.comfyui)) throw new Error('not the server of this process');
    expect(machine.comfyui.statistics().renders.filter(({ outcome }) => outcome === 'success')).toHaveLength(7);
    expect(result.training).toMatchObject({
      executedSteps: result.training?.plannedSteps,
      launches: 1,
      redoneSteps: 0,
    });
    expect(result).toMatchObject({ outcome: 'simulated', captions: { images: 4, kept: 1 } });

    const place = { address: machine.comfyui.address, folder: join(tower.home, 'undisturbed') };
    const { 3: refused, ...undisturbed } = await undisturbedPictures({ ...smallJob, ...small }, place);
    const { 3: again, ...pictures } = await picturesIn(join(result.dataset, 'images'));
    expect(pictures).toEqual(undisturbed);
    expect(again).not.toBe(refused);
  },
);
