import { readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { captionDataset } from '../../src/character/caption-dataset.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { readJournal } from '../../src/character/journal.js';
import { openReceiver } from '../../src/character/receive-image.js';
import { applyReview, isApproved } from '../../src/character/review.js';
import { reviewFaults } from '../../src/character/review-decision.js';
import { buildCharacterReport } from '../../src/report/character-report.js';
import {
  characterFolders,
  picture,
  preparedRun,
  remaining,
  renderAll,
  type CharacterFolders,
} from '../support/character-run.js';

const facts = { count: 10, accepted: 9, minImages: 8 };

describe('a decision about a contact sheet', () => {
  it.each([
    [{ approve: true }],
    [{ approve: true, reject: [{ index: 1 }] }],
    [{ approve: false, reject: [{ index: 1, reason: 'three arms' }, { index: 10 }], by: 'me' }],
    [{ approve: false, captions: [{ index: 2, caption: 'a, b' }] }],
  ])('%j fits', (decision) => {
    expect(reviewFaults(decision, facts)).toEqual([]);
  });

  it.each([
    ['nothing', undefined, 'JSON object'],
    ['no approve', {}, 'approve'],
    ['a text', 'yes', 'JSON object'],
    ['an unknown key', { approve: true, rejects: [] }, 'rejects'],
    ['nothing to do', { approve: false }, 'nothing to do'],
    ['an image that is none', { approve: false, reject: [{ index: 11 }] }, 'reject[0].index'],
    ['a fraction', { approve: false, reject: [{ index: 1.5 }] }, 'reject[0].index'],
    ['numbers alone', { approve: false, reject: [1] }, 'reject[0]'],
    ['an image twice', { approve: false, reject: [{ index: 1 }, { index: 1 }] }, 'twice'],
    ['an empty caption', { approve: true, captions: [{ index: 1, caption: ' ' }] }, 'captions[0].caption'],
    ['a caption of two lines', { approve: true, captions: [{ index: 1, caption: 'a\nb' }] }, 'captions[0].caption'],
    [
      'a caption for a rejected image',
      { approve: false, reject: [{ index: 1 }], captions: [{ index: 1, caption: 'a' }] },
      'rejected too',
    ],
    ['too few left', { approve: true, reject: [{ index: 1 }, { index: 2 }] }, 'at least 8'],
    ['no list', { approve: true, reject: { index: 1 } }, 'list'],
  ])('%s does not', (_, decision, named) => {
    expect(reviewFaults(decision, facts).join('\n')).toContain(named);
  });
});

describe('a decision that is carried out', () => {
  let folders: CharacterFolders;
  let run: CharacterRun;
  beforeEach(async () => {
    folders = await characterFolders();
    run = await preparedRun(folders, { count: 4, minImages: 2, limits: { imageRetries: 0 } });
    await renderAll(run);
    await caption();
  });
  afterEach(() => folders.remove());

  const caption = () => captionDataset(run, { signal: new AbortController().signal, log: pino({ level: 'silent' }) });
  const textOf = (index: number) => readFile(join(run.dataset.images, `elara_00${index}.txt`), 'utf8');

  it('rejected images are rendered again with another seed, even when their retries were used up', async () => {
    const reject = [{ index: 2, reason: 'three arms' }];
    expect(await applyReview(run, { approve: false, reject, by: 'me' })).toEqual({ rejected: 1, edited: 0, again: 1 });
    expect((await readdir(run.dataset.images)).filter((name) => name.includes('002'))).toEqual([]);
    expect((await readdir(run.dataset.rejected)).sort()).toEqual(['elara_002-1.png', 'elara_002-1.txt']);
    const { rejected, accepted } = await readJournal(run.paths.journal);
    expect(rejected.at(-1)).toMatchObject({ index: 2, code: 'person', reason: 'me: three arms', again: true });
    const [again, ...more] = await remaining(run);
    expect([again?.image.index, again?.attempt, more.length]).toEqual([2, 1, 0]);
    expect(again?.seed).not.toBe(accepted.get(1)?.seed);
    await renderAll(run);
    expect(await caption()).toMatchObject({ images: 4, written: 1 });
    await applyReview(run, { approve: false, reject });
    expect((await remaining(run)).map(({ attempt }) => attempt)).toEqual([2]);
  });

  it('W8: a run whose whole contact sheet was rejected goes on, whatever was rejected before the review', async () => {
    const { width, height } = run.job;
    const blank = sharp({ create: { width, height, channels: 3, background: '#222' } });
    const fields = { name: 'Mira', count: 12, minImages: 4, limits: { imageRetries: 3 } };
    const mira = await preparedRun(folders, fields);
    const hopelessCode = async () => {
      const receiver = await openReceiver(mira);
      await receiver.close();
      return receiver.hopeless?.code;
    };
    await renderAll(mira, async (target, { image, seed }) => {
      if (image.index <= 3) await blank.clone().toFile(target);
      else await picture(target, seed, { width, height });
    });
    const { accepted, rejected } = await readJournal(mira.paths.journal);
    expect([accepted.size, rejected.length]).toEqual([9, 12]);
    await applyReview(mira, { approve: false, reject: [...accepted.keys()].map((index) => ({ index })) });
    expect(await hopelessCode()).toBeUndefined();
    // What is rendered then is judged anew.
    await renderAll(mira, async (target) => void (await blank.clone().toFile(target)));
    expect(await hopelessCode()).toBe('IMAGES_ALL_REJECTED');
  });

  it('a caption given in a review stays, also where the job overwrites captions', async () => {
    const over = { ...run, job: { ...run.job, overwriteCaptions: true } };
    const again = () => captionDataset(over, { signal: new AbortController().signal, log: pino({ level: 'silent' }) });
    await applyReview(over, { approve: false, captions: [{ index: 2, caption: ' Elara, my own words ' }] });
    // As after the decision, and as a later `--run` does.
    for (let time = 0; time < 2; time += 1) {
      expect(await again()).toMatchObject({ written: 0, kept: 1 });
      expect(await textOf(2)).toBe('Elara, my own words');
    }
    const { images } = await buildCharacterReport(run.paths.directory);
    expect(images.map(({ edited }) => edited)).toEqual([false, true, false, false]);
  });

  it('an approval is on record once, a decision that asks for another look is none', async () => {
    await applyReview(run, { approve: false, reject: [{ index: 1 }] });
    expect(await isApproved(run)).toBe(false);
    await renderAll(run);
    await caption();
    await applyReview(run, { approve: true, by: 'Ana' });
    expect(await isApproved(run)).toBe(true);
    const record = await readFile(run.paths.approval, 'utf8');
    expect(JSON.parse(record)).toEqual({ approvedAt: expect.stringMatching(/Z$/) as string, by: 'Ana' });
    await applyReview(run, { approve: true });
    expect(await readFile(run.paths.approval, 'utf8')).toBe(record);
  });

  it('with approval they are left out for good', async () => {
    expect(await applyReview(run, { approve: true, reject: [{ index: 2 }] })).toEqual({
      rejected: 1,
      edited: 0,
      again: 0,
    });
    expect(await remaining(run)).toEqual([]);
    expect(await caption()).toMatchObject({ images: 3 });
  });

  it('W21: an edited caption stays when captions are written again', async () => {
    const captions = [{ index: 1, caption: ' elara, sword ' }];
    expect(await applyReview(run, { approve: true, captions })).toEqual({ rejected: 0, edited: 1, again: 0 });
    expect(await caption()).toMatchObject({ kept: 1, written: 0 });
    expect(await textOf(1)).toBe('elara, sword');
  });

  it('a repetition after a crash changes nothing, wherever the crash was', async () => {
    const decision = { approve: false, reject: [{ index: 2 }, { index: 3 }], captions: [{ index: 1, caption: 'x' }] };
    const result = await applyReview(run, decision);
    // As if the crash had come before the file was moved.
    await rename(join(run.dataset.rejected, 'elara_003-1.png'), join(run.dataset.images, 'elara_003.png'));
    const [one, other] = [textOf(1), readFile(join(run.dataset.rejected, 'elara_003-1.txt'), 'utf8')];
    const captions = await Promise.all([one, other]);
    expect(await applyReview(run, decision)).toEqual(result);
    expect((await readJournal(run.paths.journal)).rejected).toHaveLength(2);
    const kept = ['elara_002-1', 'elara_003-1'].flatMap((name) => [`${name}.png`, `${name}.txt`]);
    expect((await readdir(run.dataset.rejected)).sort()).toEqual(kept);
    expect(await Promise.all([textOf(1), readFile(join(run.dataset.rejected, 'elara_003-1.txt'), 'utf8')])).toEqual(
      captions,
    );
    expect((await remaining(run)).map(({ image }) => image.index)).toEqual([2, 3]);
  });

  it('captions that are on record and on disk already are not written again', async () => {
    const given = (caption: string) =>
      applyReview(run, { approve: false, captions: [{ index: 1, caption }], by: 'me' });
    const lines = async () => (await readFile(run.dataset.captionJournal, 'utf8')).trim().split('\n').length;
    const before = await lines();
    await given('one');
    const { ino } = await stat(join(run.dataset.images, 'elara_001.txt'));
    await given('one');
    expect((await stat(join(run.dataset.images, 'elara_001.txt'))).ino).toBe(ino);
    expect(await lines()).toBe(before + 1);
    // As if a crash had come between the record and the file.
    await writeFile(join(run.dataset.images, 'elara_001.txt'), 'torn');
    await given('one');
    expect([await textOf(1), await lines()]).toEqual(['one', before + 1]);
    for (const text of ['two', 'one']) await given(text);
    expect([await textOf(1), await lines()]).toEqual(['one', before + 3]);
  });

  it('a decision that is aborted touches nothing more, and is carried out by the next attempt', async () => {
    const decision = { approve: true, reject: [{ index: 1 }], captions: [{ index: 2, caption: 'x' }] };
    const before = await readdir(run.dataset.images);
    await expect(applyReview(run, decision, { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
    expect([await readdir(run.dataset.images), await isApproved(run)]).toEqual([before, false]);
    await applyReview(run, decision, { signal: new AbortController().signal });
    expect([await textOf(2), await isApproved(run)]).toEqual(['x', true]);
  });

  it('nothing is touched when something does not fit', async () => {
    const wrong = { approve: false, reject: [{ index: 1 }], captions: [{ index: 9, caption: 'x' }] };
    await expect(applyReview(run, wrong)).rejects.toMatchObject({ code: 'REVIEW_INVALID' });
    expect((await readJournal(run.paths.journal)).rejected).toEqual([]);
    expect(await readdir(run.dataset.images)).toHaveLength(8);
  });

  it('images without a number count too', async () => {
    const dataset = join(folders.root, 'unnumbered');
    for (const [index, name] of ['front.png', 'side.png', 'back.png'].entries()) {
      await picture(join(dataset, 'images', name), index);
    }
    run = await preparedRun(folders, { dataset, stages: ['tag', 'train'], description: '', minImages: 3 });
    await caption();
    expect(await applyReview(run, { approve: true })).toMatchObject({ rejected: 0 });
  });

  it('in a dataset that was there before, images can be left out, but not made again', async () => {
    const dataset = join(folders.root, 'existing');
    for (const index of [1, 2, 3]) await picture(join(dataset, 'images', `photo_${index}.png`), index);
    run = await preparedRun(folders, { dataset, stages: ['tag', 'train'], description: '' });
    await caption();
    const reject = [{ index: 2 }];
    await expect(applyReview(run, { approve: false, reject })).rejects.toMatchObject({ code: 'REVIEW_INVALID' });
    expect(await applyReview(run, { approve: true, reject })).toMatchObject({ rejected: 1 });
    expect((await readdir(join(dataset, 'images'))).filter((name) => name.endsWith('.png'))).toEqual([
      'photo_1.png',
      'photo_3.png',
    ]);
  });

  /** A run that captions a folder with these pictures, each with a caption written by hand. */
  async function given(folder: string, names: readonly string[], fields: Readonly<Record<string, unknown>> = {}) {
    const dataset = join(folders.root, folder);
    for (const [index, name] of names.entries()) {
      await picture(join(dataset, 'images', name), index);
      await writeFile(join(dataset, 'images', name.replace(/\.png$/, '.txt')), `by hand: ${name}`);
    }
    run = await preparedRun(folders, { dataset, stages: ['tag'], description: '', ...fields });
    return caption();
  }

  const contentsOf = async (folder: string) => {
    const names = (await readdir(folder)).sort().filter((name) => name.endsWith('.txt'));
    return Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')]));
  };

  it('W21: a caption written by hand goes with its image, and what was rejected before stays', async () => {
    await given('twice', ['a_1.png', 'a_2.png', 'a_3.png']);
    await applyReview(run, { approve: true, reject: [{ index: 2 }] });
    const { rejected } = run.dataset;
    expect(await contentsOf(rejected)).toEqual([['a_2-1.txt', 'by hand: a_2.png']]);
    const before = await readFile(join(rejected, 'a_2-1.png'));
    // Another picture under the name, and another run on the folder.
    await given('twice', ['a_1.png', 'a_3.png', 'a_2.png'], { name: 'Ida' });
    await applyReview(run, { approve: true, reject: [{ index: 2 }] });
    expect((await readdir(rejected)).sort()).toEqual(['a_2-1-2.png', 'a_2-1-2.txt', 'a_2-1.png', 'a_2-1.txt']);
    expect(await readFile(join(rejected, 'a_2-1.png'))).toEqual(before);
    expect((await readJournal(run.paths.journal)).rejected).toMatchObject([{ file: 'rejected/a_2-1-2.png' }]);
  });

  it('each image of a folder of somebody else has a number of its own, which stays', async () => {
    const names = ['back.png', 'front_1.png', 'photo_2.png', 'photo_50.png', 'side_1.png'];
    expect(await given('mixed', names)).toMatchObject({ images: 5, highestNumber: 53 });
    const decision = { approve: true, reject: [{ index: 51 }, { index: 50 }, { index: 52 }] };
    // The second time as after a crash: 51 was `back.png`, and is nothing else now.
    for (let time = 0; time < 2; time += 1) {
      expect(await applyReview(run, decision)).toMatchObject({ rejected: 3 });
      expect((await readdir(run.dataset.images)).filter((name) => name.endsWith('.png'))).toEqual([
        'photo_2.png',
        'side_1.png',
      ]);
    }
    await caption();
    const captions = [{ index: 53, caption: 'the side' }];
    expect(await applyReview(run, { approve: false, captions })).toMatchObject({ edited: 1 });
    expect(await contentsOf(run.dataset.images)).toEqual([
      ['photo_2.txt', 'by hand: photo_2.png'],
      ['side_1.txt', 'the side'],
    ]);
    const none = applyReview(run, { approve: true, reject: [{ index: 1 }] });
    await expect(none).rejects.toMatchObject({ code: 'REVIEW_INVALID' });
  });
});
