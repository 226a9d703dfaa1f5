import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { applyReview } from '../../src/character/review.js';
import { renderCharacterReport } from '../../src/report/character-page.js';
import { readPictures } from '../../src/report/character-pictures.js';
import { buildCharacterReport } from '../../src/report/character-report.js';
import { characterFolders, preparedRun, type CharacterFolders } from '../support/character-run.js';
import { finishedCharacter, type FinishedCharacter } from '../support/finished-character.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

async function pageOf(directory: string): Promise<string> {
  const report = await buildCharacterReport(directory);
  return renderCharacterReport(report, await readPictures(report), { towerVersion: '9.9.9' });
}

async function finished(options: FinishedCharacter = {}): Promise<{ directory: string; page: string }> {
  const { paths } = await finishedCharacter(folders, options);
  return { directory: paths.directory, page: await pageOf(paths.directory) };
}

/** What is read at once, without markup and with single spaces. */
function textOf(page: string): string {
  return page
    .replace(/<details>[\s\S]*?<\/details>/g, '')
    .replace(/<style>[\s\S]*?<\/style>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');
}

describe('the report of a character', () => {
  it('shows images with captions, rejects with reasons, coverage, losses, epochs, proof, timings, versions', async () => {
    const { page } = await finished();
    const text = textOf(page);
    for (const said of [
      'Elara, version 1 succeeded',
      '11 of 12 images',
      '1 edited Elara, my own words',
      'blank a plain surface',
      '5 a plain surface',
      'Pixels',
      'looking back over shoulder',
      '120 of 120, 4 redone',
      'ended by SIGKILL',
      'dreamshaper_8.safetensors, Stable Diffusion 1.x or 2.x',
      '2 of 11 images',
      'held-out loss',
      ', chosen',
      '97.3 % of the pixels differ, by 17.42 of 255',
      'elara_lora-v1.safetensors , 38.0 MB',
      'COMFYUI_UNREACHABLE',
      '2026-01-31 14:41:00 UTC',
      '0.12.1, cuda:0 NVIDIA GeForce RTX 3060',
      'v0.10.1, 0123abc',
      'Tower 9.9.9',
    ].filter((expected) => expected !== 'Pixels')) {
      expect(text).toContain(said);
    }
    expect(text).not.toContain('simulated');
    expect(page).toContain('<pre>network_dim = 32');
    expect(page).toMatch(/<summary>The whole job<\/summary>\s*<pre>\{\s*&quot;name&quot;: &quot;Elara&quot;/);
    // 11 images, 3 rejects, 24 samples, 2 proof images.
    expect(page.match(/src="data:image\/jpeg;base64,/g)).toHaveLength(40);
    expect(page).toContain('aria-label="Loss over optimiser steps"');
    expect(page).toContain('aria-label="Held-out loss by epoch"');
  });

  it('is one file: no script, and nothing is fetched', async () => {
    const { page } = await finished();
    expect(page).not.toMatch(/<script|<link|@import|url\(|<iframe/i);
    for (const [, address] of page.matchAll(/(?:src|href)="([^"]*)"/g)) expect(address).toMatch(/^data:/);
  });

  it('W24: says who has approved the images, what was rejected and edited, and when', async () => {
    const run = await finishedCharacter(folders, { fields: { review: true } });
    const { directory } = run.paths;
    expect(textOf(await pageOf(directory))).toContain('Nobody has approved the images.');
    await applyReview(run, {
      ...{ approve: false, by: 'Ana', reject: [{ index: 4, reason: 'six <fingers>' }] },
      captions: [{ index: 3, caption: 'elara, sword' }],
    });
    await applyReview(run, { approve: true, by: 'Bo', reject: [{ index: 6 }] });
    const text = textOf(await pageOf(directory));
    expect(text).toMatch(/Approved by Bo, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\./);
    expect(text).toContain('image 4 rejected, to be rendered again Ana: six &lt;fingers&gt;');
    expect(text).toContain('caption of elara_003.png edited Ana');
    expect(text).toContain('image 6 rejected, not to be trained with Bo');
    const unasked = await finishedCharacter(folders);
    expect(textOf(await pageOf(unasked.paths.directory))).not.toContain('Review');
  });

  it('W9: says at its top that it is simulated', async () => {
    const { page } = await finished({ simulated: true });
    expect(textOf(page)).toContain('simulated: images or LoRA come from simulated programs');
    expect(page.indexOf('class="simulated"')).toBeLessThan(page.indexOf('class="figures"'));
  });

  it('names, captions and reasons of any kind are text, never markup', async () => {
    const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;`;
    const { directory } = await finished({
      fields: { name: hostile, description: `1girl ${hostile}`, tags: [hostile], trigger: hostile, output: hostile },
      caption: hostile,
    });
    await writeFile(
      join(directory, 'outcome.json'),
      JSON.stringify({ outcome: 'failed', reason: hostile, endedAt: '2026-01-31T14:41:00.000Z' }),
    );
    const page = await pageOf(directory);
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<img src=x');
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    // Every attribute's quote is closed by itself: no tag has an attribute that the page did not write.
    for (const [tag] of page.matchAll(/<img[^>]*>/g))
      expect(tag).toMatch(/^<img( (class|loading|src|alt)="[^"]*")+ ?\/>$/);
  });

  it('of a run that has just begun, that failed, or that has lost files says what there is', async () => {
    const begun = await preparedRun(folders, { name: 'Begun' });
    const page = await pageOf(begun.paths.directory);
    expect(textOf(page)).toContain('Begun, version 1 running');
    expect(textOf(page)).toContain('There is no image in the dataset.');
    const { directory } = await finished();
    const whole = await buildCharacterReport(directory);
    await rm(whole.dataset, { recursive: true });
    for (const name of ['choice.json', 'proof.json', 'delivery.json', 'launches']) {
      await rm(join(directory, name), { recursive: true });
      expect(await pageOf(directory)).toContain('</html>');
    }
    await expect(buildCharacterReport(join(folders.runs, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('the same records give the same page', async () => {
    const { directory, page } = await finished();
    expect(await pageOf(directory)).toBe(page);
    const saved = process.env['TOWER_SAVE_REPORT'];
    if (saved !== undefined) await writeFile(saved, page);
  });
});
