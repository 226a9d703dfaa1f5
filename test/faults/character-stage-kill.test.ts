import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, expect, it } from 'vitest';

import { captionOf } from '../../src/character/captions.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { readJournal } from '../../src/character/journal.js';
import { planImages } from '../../src/character/plan.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { CharacterMachine, smallJob } from '../support/character-machine.js';

const killer = fileURLToPath(new URL('fixtures/die-at-point.js', import.meta.url));

/** An effect is there, but not reported; or a file is written, but not in its place. */
const points = [
  ...['prepareCharacter rename 2', 'renderCharacter rename 1', 'renderCharacter after', 'captionCharacter rename 3'],
  ...['trainCharacter after', 'publishLora rename 1', 'publishLora after', 'recordCharacter after'],
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
    const small = { count: 4, kohya: { ...smallJob.kohya, max_train_epochs: 1 } };
    const result = await (await machine.start(small)).result();
    over = true;
    await tower.stopWorkers();
    await Promise.all(living);
    expect(existsSync(deaths) ? readFileSync(deaths, 'utf8').trim().split('\n').sort() : []).toEqual(points.toSorted());

    const job = parseCharacterJob({ ...smallJob, ...small });
    const { images } = planImages(job);
    const { accepted, rejected } = await readJournal(join(tower.paths.runs, result.run, 'images.jsonl'));
    expect([...accepted.values()].map(({ seed }) => seed).sort()).toEqual(images.map(({ seed }) => seed).sort());
    expect(rejected).toEqual([]);
    const files = await machine.datasetFiles(result.dataset);
    expect(Object.keys(files)).toHaveLength(8);
    for (const { index, attributes } of images) expect(files[`elara_00${index}.txt`]).toBe(captionOf(job, attributes));
    expect(await readdir(machine.datasets)).toEqual(['Elara-v1']);
    expect(await machine.publishedLoras()).toEqual(['elara_lora-simulated-v1.safetensors']);
    expect(result.training).toMatchObject({
      executedSteps: result.training?.plannedSteps,
      launches: 1,
      redoneSteps: 0,
    });
    expect(result).toMatchObject({ outcome: 'simulated', captions: { images: 4, kept: 0 } });
  },
);
