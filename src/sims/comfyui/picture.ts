import { createHash } from 'node:crypto';

import sharp from 'sharp';

/** A LoRA at work on a picture: what is in its file, and how strongly it is applied. */
export interface AppliedLora {
  /** SHA-256 of its file. */
  readonly content: string;
  readonly strength: number;
}

/** How a picture comes about; equal recipes give equal pixels. */
export type PictureRecipe =
  /** Sampled: `text` says everything that would decide the picture (seed, prompts, model, sampler). */
  | { readonly kind: 'sampled'; readonly text: string; readonly loras: readonly AppliedLora[] }
  | { readonly kind: 'flat'; readonly color: number }
  | { readonly kind: 'file'; readonly path: string; readonly content: string }
  | { readonly kind: 'inverted'; readonly source: PictureRecipe }
  /** Nearly the same as another one: only a little brighter. */
  | { readonly kind: 'brighter'; readonly source: PictureRecipe };

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Cells of the background in each direction: fine enough that perceptual hashes of two pictures differ in half their bits. */
const cells = 10;
const shapes = 7;
/** Share of a LoRA at strength 1 in the colours of the background. */
const loraShare = 0.4;

/** PNG, 8-bit RGB, compression level 4, without text chunks. Everything heavy happens outside the event loop. */
export async function paintPicture(recipe: PictureRecipe, size: PictureSize): Promise<Buffer> {
  const picture = await pixels(recipe, size);
  return picture.removeAlpha().toColourspace('srgb').png({ compressionLevel: 4, palette: false }).toBuffer();
}

async function pixels(recipe: PictureRecipe, size: PictureSize): Promise<sharp.Sharp> {
  const { width, height } = size;
  switch (recipe.kind) {
    case 'flat': {
      const [r, g, b] = [(recipe.color >> 16) & 255, (recipe.color >> 8) & 255, recipe.color & 255];
      return sharp({ create: { width, height, channels: 3, background: { r, g, b } } });
    }
    case 'file':
      return sharp(recipe.path).resize(width, height, { fit: 'fill' });
    case 'inverted':
      return sharp(await paintPicture(recipe.source, size)).negate({ alpha: false });
    case 'brighter':
      return sharp(await paintPicture(recipe.source, size)).linear(1, 3);
    case 'sampled': {
      const background = sharp(backgroundOf(recipe), { raw: { width: cells, height: cells, channels: 3 } });
      const foreground = Buffer.from(foregroundOf(recipe, size));
      return background.resize(width, height, { fit: 'fill', kernel: 'cubic' }).composite([{ input: foreground }]);
    }
  }
}

type SampledRecipe = Extract<PictureRecipe, { kind: 'sampled' }>;

function backgroundOf({ text, loras }: SampledRecipe): Buffer {
  const colors = Float64Array.from(chanceBytes(`background ${text}`, cells * cells * 3));
  for (const { content, strength } of loras) {
    const share = Math.max(-0.5, Math.min(0.5, strength * loraShare));
    chanceBytes(`lora ${content} ${text}`, colors.length).forEach((byte, index) => {
      const color = colors[index] ?? 0;
      colors[index] = color + (byte - color) * share;
    });
  }
  return Buffer.from(colors.map((color) => Math.max(0, Math.min(255, Math.round(color)))));
}

/** Ellipses, boxes and triangles with gradients. */
function foregroundOf({ text }: SampledRecipe, { width, height }: PictureSize): string {
  const bytes = chanceBytes(`shapes ${text}`, shapes * 16);
  const drawn = Array.from({ length: shapes }, (_, index) => {
    const [kind = 0, x = 0, y = 0, w = 0, h = 0, turn = 0, ...rest] = bytes.subarray(index * 16);
    const color = (at: number) => `rgb(${rest[at] ?? 0},${rest[at + 1] ?? 0},${rest[at + 2] ?? 0})`;
    const [cx, cy] = [(x / 255) * 100, (y / 255) * 100];
    const [rx, ry] = [4 + (w / 255) * 12, 4 + (h / 255) * 12];
    const fill = `<linearGradient id="g${index}"><stop offset="0" stop-color="${color(0)}"/><stop offset="1" stop-color="${color(3)}"/></linearGradient>`;
    const style = `fill="url(#g${index})" transform="rotate(${turn} ${cx} ${cy})"`;
    const outline = [
      `<ellipse cx="${cx}" cy="${cy}" rx="${rx}" ry="${ry}" ${style}/>`,
      `<rect x="${cx - rx}" y="${cy - ry}" width="${2 * rx}" height="${2 * ry}" ${style}/>`,
      `<polygon points="${cx},${cy - ry} ${cx + rx},${cy + ry} ${cx - rx},${cy + ry}" ${style}/>`,
    ][kind % 3];
    return `${fill}${outline ?? ''}`;
  });
  const frame = `width="${width}" height="${height}" viewBox="0 0 100 100" preserveAspectRatio="none"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${frame}>${drawn.join('')}</svg>`;
}

/** Any number of bytes that follow from a text alone. */
function chanceBytes(text: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(text).digest();
}
