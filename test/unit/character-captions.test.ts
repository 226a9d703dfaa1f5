import { appendFile, copyFile, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { captionDataset, type CaptionSummary } from '../../src/character/caption-dataset.js';
import { captionOf } from '../../src/character/captions.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { readPlan } from '../../src/character/plan.js';
import { triggerNotice } from '../../src/character/trigger-notice.js';
import { sha256OfFile } from '../../src/files/sha256.js';
import { buildCharacterReport } from '../../src/report/character-report.js';
import { axes } from '../../src/character/vocabulary.js';
import {
  characterFolders,
  picture,
  preparedRun,
  renderAll,
  type CharacterFolders,
  givenDataset,
} from '../support/character-run.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const options = () => ({ signal: new AbortController().signal, log: pino({ level: 'silent' }) });

async function caption(run: CharacterRun): Promise<CaptionSummary> {
  return captionDataset(run, options());
}

async function captionsOf({ dataset }: CharacterRun): Promise<Record<string, string>> {
  const names = (await readdir(dataset.images)).filter((name) => name.endsWith('.txt')).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(dataset.images, name), 'utf8')));
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? '']));
}

async function json(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
}

async function generated(fields: Readonly<Record<string, unknown>> = {}): Promise<CharacterRun> {
  const run = await preparedRun(folders, fields);
  await renderAll(run);
  return run;
}

const existing = (images: readonly string[], fields?: Readonly<Record<string, unknown>>) =>
  givenDataset(folders, images, fields);

describe('W5: captions tell what each image shows', () => {
  it('trigger, tags, first part of the description, the image’s own attributes, quality', async () => {
    const run = await generated({ trigger: 'elara_xk', description: 'warrior, brown hair', tags: ['1girl', 'armor'] });
    expect(await caption(run)).toEqual({
      ...{ images: 6, written: 6, kept: 0, withoutAttributes: 0, refilled: 0, highestNumber: 6 },
    });
    const texts = await captionsOf(run);
    for (const { index, attributes } of (await readPlan(run.paths.plan))?.images ?? []) {
      const shown = axes.flatMap((axis) => attributes[axis] ?? []);
      const expected = ['elara_xk', '1girl', 'armor', 'warrior', ...shown, 'high quality', 'detailed', 'best quality'];
      expect(texts[`elara_00${index}.txt`]).toBe(expected.join(', '));
    }
    expect(new Set(Object.values(texts)).size).toBe(6);
  });

  it('the JSON files have every key of the original, and what it lost', async () => {
    const run = await generated({ count: 4, minImages: 2, limits: { imageRetries: 0 } });
    await rm(run.paths.journal);
    await rm(run.dataset.images, { recursive: true });
    await renderAll(run, (target, { image, seed }) =>
      image.index === 3
        ? sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
            .toFile(target)
            .then(() => undefined)
        : picture(target, seed),
    );
    await caption(run);
    const metadata = await json(run.dataset.generationMetadata);
    expect(metadata).toMatchObject({
      ...{ character_name: 'Elara', total_requested: 4, total_generated: 3, total_failed: 1 },
      output_directory: run.dataset.folder,
      images_directory: run.dataset.images,
      failed_generations: [{ index: 3, error: expect.stringContaining('plain surface') as string }],
    });
    expect(metadata['timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/);
    const plan = await readPlan(run.paths.plan);
    const images = metadata['generated_images'] as Record<string, unknown>[];
    expect(images.map(({ index }) => index)).toEqual([1, 2, 4]);
    for (const image of images) {
      const planned = plan?.images.find(({ index }) => index === image['index']);
      expect(image).toMatchObject({
        prompt_id: `prompt-${planned?.seed}`,
        output_path: join(run.dataset.images, `elara_00${String(image['index'])}.png`),
        prompt: planned?.prompt,
        seed: planned?.seed,
        status: 'completed',
        negative_prompt: plan?.negativePrompt,
        metadata: planned?.attributes,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      });
    }
    expect(await json(run.dataset.taggingResults)).toMatchObject({
      ...{ character_name: 'Elara', image_directory: run.dataset.images, total_images: 3 },
      ...{ tagged_successfully: 3, failed_tags: 0, failures: [] },
      tagged_files: images.map(({ index, metadata: shown, sha256, prompt_id }) => ({
        ...{ image: `elara_00${String(index)}.png`, tags_file: `elara_00${String(index)}.txt`, edited: false },
        ...{ index, metadata: shown, sha256, prompt_id },
      })),
    });
  });

  it('a second time changes no byte, also without the files of the first', async () => {
    const run = await generated();
    await caption(run);
    const snapshot = async () => ({
      captions: await captionsOf(run),
      metadata: await readFile(run.dataset.generationMetadata, 'utf8'),
      tagging: await readFile(run.dataset.taggingResults, 'utf8'),
    });
    const before = await snapshot();
    expect(await caption(run)).toMatchObject({ written: 0, kept: 0 });
    await rm(join(run.dataset.images, 'elara_002.txt'));
    await rm(run.dataset.taggingResults);
    await rm(run.dataset.contactSheet);
    expect(await caption(run)).toMatchObject({ written: 1, kept: 0 });
    expect(await snapshot()).toEqual(before);
    expect((await sharp(run.dataset.contactSheet).metadata()).format).toBe('jpeg');
  });
});

describe('W21: captions have no repeats, and what a person wrote stays', () => {
  it('no tag twice, whatever its case; never empty; one line', () => {
    const job = parseCharacterJob({
      ...{ name: 'Elara', description: '1Girl , brown hair', tags: ['1girl', ' ARMOR', 'armor ', 'Detailed'] },
    });
    const text = captionOf(job, { pose: 'armor', lighting: 'soft\nlighting' });
    expect(text).toBe('Elara, 1girl, ARMOR, Detailed, soft lighting, high quality, best quality');
    const bare = { ...job, tags: [], description: '', captionQuality: [], triggerInCaptions: false };
    expect(captionOf(bare, undefined)).toBe('Elara');
    expect(captionOf({ ...bare, tags: [' ', ''] }, undefined)).toBe('Elara');
  });

  it('W26: the trigger comes first, and is left out only when the job says so', () => {
    const job = parseCharacterJob({ name: 'Elara', description: 'x', trigger: 'elara_xk' });
    expect(captionOf(job, undefined)).toMatch(/^elara_xk, /);
    expect(captionOf({ ...job, triggerInCaptions: false }, undefined)).not.toContain('elara_xk');
  });

  it('W26: a trigger that means something else already is told of', () => {
    const noticeOf = (trigger: string) =>
      triggerNotice(parseCharacterJob({ name: 'Elara', description: '1girl, brown hair', tags: ['armor'], trigger }));
    expect(noticeOf('Rose')).toContain('everyday word');
    expect(noticeOf('brown armor')).toContain('says something else');
    expect(noticeOf('running')).toContain('running_xk');
    for (const good of ['Elara', 'elara_xk', 'Rose of Arden', 'エララ']) expect(noticeOf(good), good).toBeUndefined();
  });

  it('an edited caption is kept, counted and trained with; an empty one is written anew', async () => {
    const run = await generated();
    await caption(run);
    await writeFile(join(run.dataset.images, 'elara_001.txt'), 'my own words');
    await appendFile(join(run.dataset.images, 'elara_002.txt'), ', with a sword');
    await writeFile(join(run.dataset.images, 'elara_003.txt'), ' \n');
    const edited = await captionsOf(run);
    expect(await caption(run)).toMatchObject({ images: 6, written: 1, kept: 2, withoutAttributes: 0, refilled: 1 });
    const after = await captionsOf(run);
    expect(after['elara_001.txt']).toBe('my own words');
    expect(after['elara_002.txt']).toBe(edited['elara_002.txt']);
    expect(after['elara_003.txt']).toMatch(/^Elara, /);
    expect(await json(run.dataset.taggingResults)).toMatchObject({ edited_by_hand: 2 });
    // Its own record of the edited text must not make it Tower's.
    expect(await caption(run)).toMatchObject({ kept: 2, written: 0 });
    const over = { ...run, job: { ...run.job, overwriteCaptions: true } };
    expect(await caption(over)).toMatchObject({ kept: 0, written: 2 });
  });

  it('captions of an earlier job are Tower’s own: another job writes its own instead', async () => {
    const first = await existing(['a_1.png', 'a_2.png']);
    await caption(first);
    await writeFile(join(first.dataset.images, 'a_2.txt'), 'by hand');
    const second = await preparedRun(folders, {
      ...{ name: 'Other', description: 'x', dataset: first.dataset.folder, stages: ['tag'] },
    });
    expect(await caption(second)).toMatchObject({ written: 1, kept: 1 });
    expect(await captionsOf(second)).toMatchObject({
      'a_1.txt': expect.stringMatching(/^Other, /) as string,
      'a_2.txt': 'by hand',
    });
  });

  it('captions of a captioning that was cancelled are Tower’s own too: a new run on that dataset writes its own', async () => {
    const names = Array.from({ length: 150 }, (_, index) => `a_${index + 1}.png`);
    const first = await existing(names.slice(0, 1), { trigger: 'first' });
    for (const name of names.slice(1)) {
      await copyFile(join(first.dataset.images, 'a_1.png'), join(first.dataset.images, name));
    }
    const aborting = new AbortController();
    const cancelled = captionDataset(first, {
      ...options(),
      signal: aborting.signal,
      onProgress: () => aborting.abort(new Error('cancelled')),
    });
    await expect(cancelled).rejects.toThrow('cancelled');
    const half = await captionsOf(first);
    expect(Object.keys(half)).toHaveLength(100);
    await writeFile(join(first.dataset.images, 'a_1.txt'), 'by hand');

    const second = await preparedRun(folders, {
      ...{ dataset: first.dataset.folder, stages: ['tag'], trigger: 'second' },
    });
    expect(await caption(second)).toMatchObject({ images: 150, written: 149, kept: 1 });
    const texts = await captionsOf(second);
    expect(texts['a_1.txt']).toBe('by hand');
    expect(Object.values(texts).filter((text) => text.startsWith('second, '))).toHaveLength(149);
  });

  it('links to images are captioned as the images that they are, and broken ones are none', async () => {
    const run = await existing(['a_1.png']);
    await picture(join(folders.root, 'pool', 'b.png'), 2);
    await symlink(join(folders.root, 'pool', 'b.png'), join(run.dataset.images, 'b.png'));
    await symlink(join(folders.root, 'pool', 'gone.png'), join(run.dataset.images, 'c.png'));
    expect(await caption(run)).toMatchObject({ images: 2, written: 2 });
    expect(Object.keys(await captionsOf(run))).toEqual(['a_1.txt', 'b.txt']);
    expect(await readdir(join(folders.root, 'pool'))).toEqual(['b.png']);
  });

  it('files of other programs under the names of records say nothing of captions, and stop neither captioning nor report', async () => {
    const run = await existing(['a_1.png', 'a_2.png']);
    await writeFile(join(run.dataset.images, 'a_1.txt'), 'by hand');
    await writeFile(join(run.dataset.folder, 'captions.jsonl'), '{"file_name": "a_1.png", "text": "by hand"}\n');
    await writeFile(run.dataset.taggingResults, '[{"image": "a_1.png", "tags": "by hand"}]');
    expect(await caption(run)).toMatchObject({ written: 1, kept: 1 });
    // Put there by another tool afterwards.
    await writeFile(run.dataset.taggingResults, '{"tagged_files": 2}');
    const { images } = await buildCharacterReport(run.paths.directory);
    expect(images.map(({ edited }) => edited)).toEqual([true, false]);
    await rm(run.dataset.taggingResults);
    await mkdir(run.dataset.taggingResults);
    await expect(buildCharacterReport(run.paths.directory)).resolves.toMatchObject({ run: run.reservation.run });
  });

  it('files of other programs under the names of Tower’s are kept under another name, and said', async () => {
    const run = await existing(['a_1.png']);
    const { folder, taggingResults, contactSheet } = run.dataset;
    const theirs = '{"tagged_files": [{"image": "a_1.png", "tags": "by the original"}], "total_images": 1}';
    await writeFile(taggingResults, theirs);
    await writeFile(contactSheet, 'a sheet of somebody');
    await writeFile(join(run.dataset.images, 'a_1.txt'), 'by the original');
    expect(await caption(run)).toMatchObject({ written: 1, kept: 0 });
    const kept = ['contact-sheet.before-tower.jpg', 'tagging_results.before-tower.json'];
    const contents = async () => {
      const names = (await readdir(folder)).filter((name) => name.includes('before-tower')).sort();
      return [names, await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))];
    };
    expect(await contents()).toEqual([kept, ['a sheet of somebody', theirs]]);
    expect(await json(taggingResults)).toMatchObject({ total_images: 1, run: run.reservation.run, set_aside: kept });
    expect((await sharp(contactSheet).metadata()).format).toBe('jpeg');
    // Its own are written anew, in this run and in others.
    const before = await readFile(taggingResults, 'utf8');
    await caption(run);
    expect(await readFile(taggingResults, 'utf8')).toBe(before);
    await caption(await preparedRun(folders, { name: 'Other', dataset: folder, stages: ['tag'] }));
    expect(await contents()).toEqual([kept, ['a sheet of somebody', theirs]]);
    // A folder that an older Tower has captioned, which had no journal there.
    await rm(run.dataset.captionJournal);
    await caption(run);
    expect(await contents()).toEqual([kept, ['a sheet of somebody', theirs]]);
    // Another one, and a folder of that name.
    await writeFile(taggingResults, '[]');
    await caption(run);
    await rm(taggingResults);
    await mkdir(taggingResults);
    await caption(run);
    const all = [...kept, 'tagging_results.before-tower-2.json', 'tagging_results.before-tower-3.json'];
    expect(await json(taggingResults)).toMatchObject({ set_aside: all.sort() });
  });

  it('a bitmap is refused by name before anything is written', async () => {
    const run = await existing(['a_1.png']);
    await writeFile(join(run.dataset.images, 'b.bmp'), 'BM');
    const before = (await readdir(run.dataset.images)).sort();
    await expect(caption(run)).rejects.toMatchObject({
      ...{ code: 'BITMAPS_IN_DATASET', retryable: false },
      ...{ message: expect.stringContaining('b.bmp') as string, next: expect.stringContaining('PNG') as string },
    });
    expect((await readdir(run.dataset.images)).sort()).toEqual(before);
  });

  it('png, jpg, jpeg and webp are images, in whatever case', async () => {
    const names = ['a.PNG', 'b.jpg', 'c.JPEG', 'd.webp'];
    const run = await existing(['seed.png']);
    const { images } = run.dataset;
    await rm(join(images, 'seed.png'));
    for (const name of names) {
      const source = join(folders.root, name.toLowerCase());
      await picture(source, name.length);
      await copyFile(source, join(images, name));
    }
    await writeFile(join(images, 'notes.md'), 'x');
    await mkdir(join(images, 'deeper.png'));
    expect(await caption(run)).toMatchObject({ images: 4, written: 4 });
    expect(Object.keys(await captionsOf(run))).toEqual(['a.txt', 'b.txt', 'c.txt', 'd.txt']);
  });
});

describe('an existing dataset', () => {
  it('without metadata is captioned from trigger, tags and description, and says how many', async () => {
    const run = await existing(['a_1.png', 'photo.jpg']);
    expect(await caption(run)).toEqual({
      ...{ images: 2, written: 2, kept: 0, withoutAttributes: 2, refilled: 0, highestNumber: 2 },
    });
    const expected = 'Elara, 1girl, armor, high quality, detailed, best quality';
    expect(await captionsOf(run)).toEqual({ 'a_1.txt': expected, 'photo.txt': expected });
  });

  it('with the metadata of Tower or of the original is captioned from what it has', async () => {
    const run = await existing(['elara_001.png', 'elara_002.png', 'elara_003.png']);
    const metadata = { pose: 'running', expression: 'gentle smile', angle: 'side view' };
    await writeFile(
      run.dataset.generationMetadata,
      JSON.stringify({
        generated_images: [
          {
            prompt_id: 'x',
            output_path: '/elsewhere/elara_001.png',
            prompt: 'p',
            seed: 1,
            status: 'completed',
            metadata,
          },
          { index: 3, metadata: { pose: 'dancing', lighting: null } },
          { prompt_id: 'y', output_path: '/elsewhere/elara_002.png', prompt: 'p', seed: 2, status: 'completed' },
        ],
      }),
    );
    expect(await caption(run)).toMatchObject({ written: 3, withoutAttributes: 1 });
    expect(await captionsOf(run)).toMatchObject({
      'elara_001.txt': 'Elara, 1girl, armor, running, gentle smile, side view, high quality, detailed, best quality',
      'elara_002.txt': 'Elara, 1girl, armor, high quality, detailed, best quality',
      'elara_003.txt': 'Elara, 1girl, armor, dancing, high quality, detailed, best quality',
    });
  });

  it('a stranger’s picture has nothing of the image whose number is in its name', async () => {
    const run = await existing(['elara_007.png', 'photo_007.jpg']);
    const generated = { index: 7, output_path: '/elsewhere/images/elara_007.png', sha256: 'a'.repeat(64) };
    const record = { ...generated, prompt_id: 'x', metadata: { pose: 'running' } };
    await writeFile(run.dataset.generationMetadata, JSON.stringify({ generated_images: [record] }));
    expect(await caption(run)).toMatchObject({ written: 2, withoutAttributes: 1 });
    expect(await captionsOf(run)).toEqual({
      'elara_007.txt': 'Elara, 1girl, armor, running, high quality, detailed, best quality',
      'photo_007.txt': 'Elara, 1girl, armor, high quality, detailed, best quality',
    });
    const { tagged_files: tagged } = JSON.parse(await readFile(run.dataset.taggingResults, 'utf8')) as {
      tagged_files: object[];
    };
    const hashOf = (name: string) => sha256OfFile(join(run.dataset.images, name));
    expect(tagged).toMatchObject([
      { image: 'elara_007.png', index: 7, prompt_id: 'x', sha256: await hashOf('elara_007.png') },
      { image: 'photo_007.jpg', index: null, prompt_id: null, sha256: await hashOf('photo_007.jpg'), metadata: null },
    ]);
  });

  it('with metadata that is none says so', async () => {
    const run = await existing(['a_1.png']);
    await writeFile(run.dataset.generationMetadata, '[]');
    await expect(caption(run)).rejects.toMatchObject({ code: 'FILE_INVALID' });
  });
});

describe('W8: too few images end the run before training', () => {
  it('and say how many there are', async () => {
    const run = await preparedRun(folders, { count: 4, minImages: 3 });
    await expect(caption(run)).rejects.toMatchObject({
      code: 'TOO_FEW_IMAGES',
      retryable: false,
      details: { images: 0 },
    });
    await renderAll(run);
    await rm(join(run.dataset.images, 'elara_001.png'));
    expect(await caption(run)).toMatchObject({ images: 3 });
    await rm(join(run.dataset.images, 'elara_002.png'));
    await expect(caption(run)).rejects.toMatchObject({ code: 'TOO_FEW_IMAGES', details: { images: 2, minImages: 3 } });
  });
});
