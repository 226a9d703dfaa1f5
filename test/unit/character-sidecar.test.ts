import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { captionDataset } from '../../src/character/caption-dataset.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { publishLora, type Delivery, type PublishRequest } from '../../src/character/publish.js';
import { applyReview } from '../../src/character/review.js';
import { writeSidecar } from '../../src/character/sidecar.js';
import { writeJsonDurable } from '../../src/files/durable-write.js';
import { sha256OfFile } from '../../src/files/sha256.js';
import { finishedCharacter } from '../support/finished-character.js';
import { publishRequest } from '../support/publish-request.js';
import { characterFolders, picture, preparedRun, renderAll, type CharacterFolders } from '../support/character-run.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const options = () => ({ signal: new AbortController().signal, log: pino({ level: 'silent' }) });

const publish = async (run: string, fields: Partial<PublishRequest> = {}): Promise<Delivery> =>
  publishLora(await publishRequest(folders, run, fields), options());

describe('the sidecar', () => {
  const facts = {
    towerVersion: '1',
    comfyui: { version: '0.3', simulated: false },
    trainer: { driver: 'kohya' },
    simulated: false,
    end: { outcome: 'succeeded', reason: 'a test' },
  };

  it('has everything that the LoRA was made from', async () => {
    const run = await preparedRun(folders, { count: 2, minImages: 1, trigger: 'elara_xk' });
    await renderAll(run);
    await captionDataset(run, options());
    await writeFile(join(run.dataset.images, 'elara_002.txt'), 'by hand');
    await expect(writeSidecar(run, facts)).rejects.toMatchObject({ code: 'NOTHING_DELIVERED' });
    await publish(run.reservation.run, { record: run.paths.delivery });
    await writeJsonDurable(run.paths.choice, { epoch: 3, reason: 'lowest' });
    const path = await writeSidecar(run, facts);
    expect(path).toBe(join(folders.loras, 'elara_lora-v1.json'));
    const text = await readFile(path, 'utf8');
    expect(JSON.parse(text)).toMatchObject({
      ...{ version: 1, simulated: false, run: 'character_elara_v1', choice: { epoch: 3 }, proof: null },
      outcome: 'succeeded',
      character: { name: 'Elara', trigger: 'elara_xk' },
      versions: { tower: '1', comfyui: { version: '0.3' }, trainer: { driver: 'kohya' } },
      baseModel: { ss_new_sd_model_hash: 'abc' },
      job: { count: 2, width: 64 },
      plan: { seed: 1, images: 2 },
      dataset: {
        folder: run.dataset.folder,
        images: [
          {
            index: 1,
            file: 'elara_001.png',
            attempt: 1,
            captionEdited: false,
            caption: expect.stringMatching(/^elara_xk/) as string,
          },
          { index: 2, file: 'elara_002.png', captionEdited: true, caption: 'by hand' },
        ],
      },
    });
    await writeSidecar(run, facts);
    expect(await readFile(path, 'utf8')).toBe(text);
    await mkdir(join(folders.root, 'elsewhere'));
    await rename(path, join(folders.root, 'elsewhere', 'x.json'));
  });

  interface SidecarImage {
    readonly seed: number | null;
  }
  const imagesIn = async (run: CharacterRun) => {
    await publish(run.reservation.run, { record: run.paths.delivery });
    const { dataset } = JSON.parse(await readFile(await writeSidecar(run, facts), 'utf8')) as {
      readonly dataset: { readonly images: readonly SidecarImage[] };
    };
    return dataset.images;
  };

  it('has how the images of a dataset that was there before were made, as the records of that dataset say', async () => {
    const made = await preparedRun(folders, { count: 2, minImages: 1 });
    await renderAll(made);
    await captionDataset(made, options());
    const images = await imagesIn(made);
    for (const { seed } of images) expect(seed).toBeTypeOf('number');
    const trained = await preparedRun(folders, { name: 'Other', dataset: made.dataset.folder, stages: ['train'] });
    // Not whether a caption is Tower's: that is told by the job.
    const how = { seed: expect.any(Number) as number, prompt: expect.stringContaining('brown hair') as string };
    expect(await imagesIn(trained)).toEqual(images);
    expect(images[0]).toMatchObject({ ...how, attempt: 1, promptId: expect.stringMatching(/^prompt-/) as string });
  });

  it('has the hash of an image as it was trained with, and says that it was changed', async () => {
    const run = await preparedRun(folders, { count: 2, minImages: 1 });
    await renderAll(run);
    const retouched = join(run.dataset.images, 'elara_001.png');
    await picture(retouched, 99);
    await captionDataset(run, options());
    const sha256 = await sha256OfFile(retouched);
    const [first, second] = await imagesIn(run);
    expect(first).toMatchObject({ index: 1, sha256, changedSince: true });
    expect(second).not.toHaveProperty('changedSince');
    const tagging = JSON.parse(await readFile(run.dataset.taggingResults, 'utf8')) as object;
    expect(tagging).toMatchObject({ tagged_files: [{ image: 'elara_001.png', sha256 }, {}] });
    // What another run makes of the dataset: its record has the hash of what was rendered.
    const trained = await preparedRun(folders, { name: 'Other', dataset: run.dataset.folder, stages: ['train'] });
    expect((await imagesIn(trained))[0]).toMatchObject({ sha256, changedSince: true });
  });

  it('W24: says who has approved the images, and what was rejected and edited', async () => {
    const run = await preparedRun(folders, { count: 3, minImages: 1, review: true });
    await renderAll(run);
    await captionDataset(run, options());
    await publish(run.reservation.run, { record: run.paths.delivery });
    const reviewed = async () => {
      const { review } = JSON.parse(await readFile(await writeSidecar(run, facts), 'utf8')) as { review: unknown };
      return review;
    };
    expect(await reviewed()).toEqual({ approvedAt: null, by: null, rejected: [], edited: [] });
    const decision = {
      ...{ approve: true, by: 'Ana', reject: [{ index: 2, reason: 'three arms' }] },
      captions: [{ index: 1, caption: 'elara, sword' }],
    };
    await applyReview(run, decision);
    const at = expect.stringMatching(/^\d{4}-.+Z$/) as string;
    const expected = {
      ...{ approvedAt: at, by: 'Ana' },
      rejected: [{ index: 2, at, reason: 'Ana: three arms', again: false }],
      edited: [{ image: 'elara_001.png', at, by: 'Ana' }],
    };
    expect(await reviewed()).toEqual(expected);
    // Carried out once more, as after a worker's death.
    await applyReview(run, decision);
    expect(await reviewed()).toEqual(expected);
    // Of another run on the same images.
    const other = await preparedRun(folders, {
      ...{ name: 'Other', dataset: run.dataset.folder, stages: ['tag'], review: true },
    });
    await applyReview(other, { approve: false, by: 'Bo', captions: [{ index: 3, caption: 'other' }] });
    expect(await reviewed()).toEqual(expected);
  });

  it('has how it was trained: what the trainer was told on its last rung, steps, losses, versions; prompts and graph', async () => {
    const run = await finishedCharacter(folders);
    await publish(run.reservation.run, { record: run.paths.delivery });
    const { directory } = run.paths;
    const [plan, settled] = ['kohya.json', 'settled.json'].map((name) => join(directory, name));
    const change = async (path: string | undefined, fields: object) => {
      if (path !== undefined)
        await writeJsonDurable(path, { ...(JSON.parse(await readFile(path, 'utf8')) as object), ...fields });
    };
    const rungs = [
      { description: 'as configured', output: '/x' },
      { description: 'gradient checkpointing', output: '/x' },
    ];
    await change(plan, { rungs, sdScripts: { version: '0.10.1', commit: 'c', python: '3.12.3', torch: '2.9.0' } });
    await change(settled, { memoryRung: 1 });
    await writeFile(join(directory, 'config.rung-1.toml'), 'network_dim = 32\ngradient_checkpointing = true\n');
    await writeFile(join(directory, 'dataset.rung-1.toml'), '[[datasets]]\nbatch_size = 1\n');
    const sidecar = JSON.parse(await readFile(await writeSidecar(run, facts), 'utf8')) as {
      readonly dataset: { readonly images: readonly { readonly prompt: string }[] };
    };
    expect(sidecar).toMatchObject({
      graph: { from: 'default', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
      training: {
        ...{ driver: 'kohya', launches: 2, trainLoss: 0.081, heldOutLoss: 0.09 },
        steps: { planned: 120, executed: 120, redone: 4 },
        rung: { number: 1, description: 'gradient checkpointing' },
        config: { network_dim: 32, gradient_checkpointing: true },
        datasetConfig: { datasets: [{ batch_size: 1 }] },
        sdScripts: { version: '0.10.1', python: '3.12.3', torch: '2.9.0' },
        heldOut: { available: true },
      },
      choice: { method: 'held-out-loss' },
    });
    for (const { prompt } of sidecar.dataset.images) expect(prompt).toContain('brown hair');
  });
});
