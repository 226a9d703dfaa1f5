import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import sharp from 'sharp';

import { sha256Of } from '../../files/sha256.js';
import { randomPrefix, savePlace } from './output-names.js';
import { withTextChunks } from './png-text.js';
import type { PictureRecipe, PictureSize } from './picture.js';
import {
  NodeError,
  type Inputs,
  type NodeClass,
  type NodeContext,
  type NodeInputs,
  type NodeResult,
  type SavedFile,
} from './node-class.js';

const largest = 16_384;
const pixels = (standard: number, min = 1) => ({
  kind: 'INT' as const,
  options: { default: standard, min, max: largest, step: 1 },
});
const image = { kind: 'link', type: 'IMAGE' } as const;
const hidden = { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' };
const imageOutput = [{ type: 'IMAGE', name: 'IMAGE' }] as const;

const loadInputs: Inputs = { image: { kind: 'choice', choices: ({ inputFiles }) => inputFiles() } };

const saveImage: NodeClass = {
  name: 'SaveImage',
  displayName: 'Save Image',
  category: 'image',
  required: { images: image, filename_prefix: { kind: 'STRING', options: { default: 'ComfyUI' } } },
  hidden,
  outputs: [],
  isOutput: true,
  execute: (inputs, context) => save(inputs, context, { type: 'output', prefix: inputs.text('filename_prefix') }),
};

const previewImage: NodeClass = {
  name: 'PreviewImage',
  displayName: 'Preview Image',
  category: 'image',
  required: { images: image },
  hidden,
  outputs: [],
  isOutput: true,
  execute: (inputs, context) => save(inputs, context, { type: 'temp', prefix: randomPrefix() }),
};

const loadImage: NodeClass = {
  name: 'LoadImage',
  displayName: 'Load Image',
  category: 'image',
  required: loadInputs,
  outputs: [...imageOutput, { type: 'MASK', name: 'MASK' }],
  isOutput: false,
  changed: (inputs, { inputPath }) => sha256Of(readFileSync(inputPath(inputs.text('image')))),
  validate: ({ image: name }, { inputPath }) => {
    const isThere = statSync(inputPath(String(name)), { throwIfNoEntry: false })?.isFile() ?? false;
    return isThere ? undefined : `Invalid image file: ${String(name)}`;
  },
  execute: async (inputs, { inputPath }) => {
    const path = inputPath(inputs.text('image'));
    const found = await sharp(path)
      .metadata()
      .catch(() => {
        throw new NodeError('PIL.UnidentifiedImageError', `cannot identify image file (simulated)`);
      });
    const size = { width: found.width, height: found.height };
    const recipe = { kind: 'file', path, content: sha256Of(readFileSync(path)) } as const;
    return { outputs: [{ type: 'IMAGE', size, batch: [recipe] }, { type: 'MASK' }] };
  },
};

const emptyImage: NodeClass = {
  name: 'EmptyImage',
  displayName: 'EmptyImage',
  category: 'image',
  required: {
    width: pixels(512),
    height: pixels(512),
    batch_size: { kind: 'INT', options: { default: 1, min: 1, max: 4096 } },
    color: { kind: 'INT', options: { default: 0, min: 0, max: 0xff_ff_ff, step: 1 } },
  },
  outputs: imageOutput,
  isOutput: false,
  execute: (inputs) => {
    const recipe = { kind: 'flat', color: inputs.number('color') } as const;
    const batch = Array.from({ length: inputs.number('batch_size') }, () => recipe);
    const size = { width: inputs.number('width'), height: inputs.number('height') };
    return Promise.resolve({ outputs: [{ type: 'IMAGE', size, batch }] });
  },
};

const imageScale: NodeClass = {
  name: 'ImageScale',
  displayName: 'Upscale Image',
  category: 'image/upscaling',
  required: {
    image,
    upscale_method: { kind: 'choice', choices: () => ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] },
    width: pixels(512, 0),
    height: pixels(512, 0),
    crop: { kind: 'choice', choices: () => ['disabled', 'center'] },
  },
  outputs: imageOutput,
  isOutput: false,
  execute: (inputs) => {
    const { size, batch } = inputs.value('image', 'IMAGE');
    const scaled = scaledSize(size, inputs);
    return Promise.resolve({ outputs: [{ type: 'IMAGE', size: scaled, batch }] });
  },
};

const imageInvert: NodeClass = {
  name: 'ImageInvert',
  displayName: 'Invert Image',
  category: 'image',
  required: { image },
  outputs: imageOutput,
  isOutput: false,
  execute: (inputs) => {
    const { size, batch } = inputs.value('image', 'IMAGE');
    const inverted = batch.map((source): PictureRecipe => ({ kind: 'inverted', source }));
    return Promise.resolve({ outputs: [{ type: 'IMAGE', size, batch: inverted }] });
  },
};

/** Nodes that make, load, change and save images. */
export const imageNodes: readonly NodeClass[] = [
  saveImage,
  previewImage,
  loadImage,
  emptyImage,
  imageScale,
  imageInvert,
];

/** Names in the input folder; sub-folders are not offered. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
}

/** A side of 0 follows from the other one; both 0 keep the size. */
function scaledSize(size: PictureSize, inputs: NodeInputs): PictureSize {
  const [width, height] = [inputs.number('width'), inputs.number('height')];
  if (width === 0 && height === 0) return size;
  return {
    width: width === 0 ? Math.max(1, Math.round((size.width * height) / size.height)) : width,
    height: height === 0 ? Math.max(1, Math.round((size.height * width) / size.width)) : height,
  };
}

async function save(
  inputs: NodeInputs,
  context: NodeContext,
  target: { readonly type: SavedFile['type']; readonly prefix: string },
): Promise<NodeResult> {
  const { size, batch } = inputs.value('images', 'IMAGE');
  const root = target.type === 'output' ? context.outputDirectory : context.temporaryDirectory;
  const place = savePlace(root, target.prefix, size);
  await mkdir(place.directory, { recursive: true });
  const images: SavedFile[] = [];
  for (const [index, recipe] of batch.entries()) {
    const filename = place.fileName(index);
    await write(join(place.directory, filename), { recipe, size }, context);
    context.saved(recipe);
    images.push({ filename, subfolder: place.subfolder, type: target.type });
  }
  return { outputs: [], ui: { images } };
}

async function write(
  path: string,
  { recipe, size }: { readonly recipe: PictureRecipe; readonly size: PictureSize },
  context: NodeContext,
): Promise<void> {
  const png = async (painted: PictureRecipe, at: PictureSize = size) =>
    withTextChunks(await context.paint(painted, at), context.texts);
  switch (context.outputFault) {
    case 'missing':
      return;
    case 'truncated': {
      const whole = await png(recipe);
      await writeFile(path, whole.subarray(0, Math.floor(whole.length / 2)));
      return;
    }
    case 'corrupt': {
      const whole = await png(recipe);
      whole.fill(0x5a, Math.floor(whole.length / 2), Math.floor(whole.length * 0.75));
      await writeFile(path, whole);
      return;
    }
    case 'blank':
      await writeFile(path, await png({ kind: 'flat', color: 0 }));
      return;
    case 'wrong-size':
      await writeFile(path, await png(recipe, { width: size.width / 2, height: size.height / 2 }));
      return;
    case 'near-duplicate':
      await writeFile(path, await png({ kind: 'brighter', source: context.lastSaved ?? recipe }));
      return;
    case undefined:
      await writeFile(path, await png(recipe));
  }
}
