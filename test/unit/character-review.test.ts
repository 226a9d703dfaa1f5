import { readFile, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { captionDataset } from '../../src/character/caption-dataset.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { readJournal } from '../../src/character/journal.js';
import { applyReview } from '../../src/character/review.js';
import { reviewFaults } from '../../src/character/review-decision.js';
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
    expect(await readdir(run.dataset.rejected)).toEqual(['elara_002-1.png']);
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
    expect(await applyReview(run, decision)).toEqual(result);
    expect((await readJournal(run.paths.journal)).rejected).toHaveLength(2);
    expect((await readdir(run.dataset.rejected)).sort()).toEqual(['elara_002-1.png', 'elara_003-1.png']);
    expect((await remaining(run)).map(({ image }) => image.index)).toEqual([2, 3]);
  });

  it('nothing is touched when something does not fit', async () => {
    const wrong = { approve: false, reject: [{ index: 1 }], captions: [{ index: 9, caption: 'x' }] };
    await expect(applyReview(run, wrong)).rejects.toMatchObject({ code: 'REVIEW_INVALID' });
    expect((await readJournal(run.paths.journal)).rejected).toEqual([]);
    expect(await readdir(run.dataset.images)).toHaveLength(8);
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
});
