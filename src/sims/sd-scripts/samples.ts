import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import sharp from 'sharp';

import { SeededRandom } from '../../seeded-random.js';
import { numberOf, textOf, type Arguments } from './command-line.js';
import { log } from './console.js';

/** Sizes of a sample: multiples of 8, small enough to be quick. */
const largestSide = 256;

/** Draws the samples of an epoch: pictures whose colours follow from the state of the training. */
export async function drawSamples(
  args: Arguments,
  at: { readonly epoch: number; readonly stepOfLaunch: number; readonly chain: string },
): Promise<void> {
  const every = numberOf(args, 'sample_every_n_epochs', 0);
  const path = textOf(args, 'sample_prompts');
  if (every === 0 || at.epoch % every !== 0) return;
  log(`generating sample images at step / サンプル画像生成 ステップ: ${at.stepOfLaunch}`);
  if (path === undefined || !existsSync(path)) {
    log(`No prompt file / プロンプトファイルがありません: ${path ?? 'None'}`);
    return;
  }
  const folder = join(textOf(args, 'output_dir') ?? '', 'sample');
  await mkdir(folder, { recursive: true });
  const prompts = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>[];
  for (const [index, prompt] of prompts.entries()) {
    log(`prompt: ${textOf(prompt, 'prompt') ?? ''}`);
    const [width, height] = [side(prompt, 'width'), side(prompt, 'height')];
    const random = new SeededRandom(`${at.chain} ${JSON.stringify(prompt)}`);
    const pixels = Buffer.from(Array.from({ length: 8 * 8 * 3 }, () => random.between(0, 255)));
    const seed = numberOf(prompt, 'seed', -1);
    const parts = [`e${sixDigits(at.epoch)}`, String(index).padStart(2, '0'), timeStamp(), ...(seed < 0 ? [] : [seed])];
    await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
      .resize(width, height)
      .png()
      .toFile(join(folder, `${textOf(args, 'output_name') ?? 'last'}_${parts.join('_')}.png`));
  }
}

function side(prompt: Arguments, name: string): number {
  const pixels = Math.min(largestSide, numberOf(prompt, name, 512));
  return Math.max(64, pixels - (pixels % 8));
}

export function sixDigits(epoch: number): string {
  return String(epoch).padStart(6, '0');
}

/** Local time as `YYYYmmddHHMMSS`. */
function timeStamp(): string {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return local.toISOString().replace(/\D/g, '').slice(0, 14);
}
