import type { PictureRecipe } from './picture.js';
import type { Inputs, NodeClass, NodeContext } from './node-class.js';
import { samplerNames, schedulerNames } from './sampler-names.js';

const largest = 16_384;
const pixels = (standard: number) => ({
  kind: 'INT' as const,
  options: { default: standard, min: 16, max: largest, step: 8 },
});
const batchSize = { kind: 'INT', options: { default: 1, min: 1, max: 4096 } } as const;

const samplerInputs: Inputs = {
  model: { kind: 'link', type: 'MODEL' },
  seed: { kind: 'INT', options: { default: 0, min: 0, max: 2 ** 64 } },
  steps: { kind: 'INT', options: { default: 20, min: 1, max: 10_000 } },
  cfg: { kind: 'FLOAT', options: { default: 8, min: 0, max: 100, step: 0.1 } },
  sampler_name: { kind: 'choice', choices: () => samplerNames },
  scheduler: { kind: 'choice', choices: () => schedulerNames },
  positive: { kind: 'link', type: 'CONDITIONING' },
  negative: { kind: 'link', type: 'CONDITIONING' },
  latent_image: { kind: 'link', type: 'LATENT' },
  denoise: { kind: 'FLOAT', options: { default: 1, min: 0, max: 1, step: 0.01 } },
};

const clipTextEncode: NodeClass = {
  name: 'CLIPTextEncode',
  displayName: 'CLIP Text Encode (Prompt)',
  category: 'conditioning',
  required: {
    text: { kind: 'STRING', options: { multiline: true, dynamicPrompts: true } },
    clip: { kind: 'link', type: 'CLIP' },
  },
  outputs: [{ type: 'CONDITIONING', name: 'CONDITIONING' }],
  isOutput: false,
  execute: (inputs) => {
    const clip = inputs.value('clip', 'CLIP');
    const text = JSON.stringify([inputs.text('text'), clip.text]);
    return Promise.resolve({ outputs: [{ type: 'CONDITIONING', text, loras: clip.loras }] });
  },
};

const clipSetLastLayer: NodeClass = {
  name: 'CLIPSetLastLayer',
  displayName: 'CLIP Set Last Layer',
  category: 'conditioning',
  required: {
    clip: { kind: 'link', type: 'CLIP' },
    stop_at_clip_layer: { kind: 'INT', options: { default: -1, min: -24, max: -1, step: 1 } },
  },
  outputs: [{ type: 'CLIP', name: 'CLIP' }],
  isOutput: false,
  execute: (inputs) => {
    const clip = inputs.value('clip', 'CLIP');
    const text = JSON.stringify([clip.text, inputs.number('stop_at_clip_layer')]);
    return Promise.resolve({ outputs: [{ ...clip, text }] });
  },
};

const emptyLatentImage: NodeClass = {
  name: 'EmptyLatentImage',
  displayName: 'Empty Latent Image',
  category: 'latent',
  required: { width: pixels(512), height: pixels(512), batch_size: batchSize },
  outputs: [{ type: 'LATENT', name: 'LATENT' }],
  isOutput: false,
  execute: (inputs) => {
    // A latent cell is eight pixels; a rest is cut.
    const cut = (name: string) => Math.floor(inputs.number(name) / 8) * 8;
    const batch = Array.from({ length: inputs.number('batch_size') }, () => null);
    return Promise.resolve({
      outputs: [{ type: 'LATENT', size: { width: cut('width'), height: cut('height') }, batch }],
    });
  },
};

const kSampler: NodeClass = {
  name: 'KSampler',
  displayName: 'KSampler',
  category: 'sampling',
  required: samplerInputs,
  outputs: [{ type: 'LATENT', name: 'LATENT' }],
  isOutput: false,
  execute: async (inputs, context) => {
    const model = inputs.value('model', 'MODEL');
    const positive = inputs.value('positive', 'CONDITIONING');
    const negative = inputs.value('negative', 'CONDITIONING');
    const latent = inputs.value('latent_image', 'LATENT');
    const settings = ['seed', 'steps', 'cfg', 'sampler_name', 'scheduler', 'denoise'].map((name) => inputs.text(name));
    // The text encoder's share of a LoRA is the smaller one.
    const encoderLoras = positive.loras.map(({ content, strength }) => ({ content, strength: strength / 2 }));
    const batch = latent.batch.map((source, index): PictureRecipe => ({
      kind: 'sampled',
      text: JSON.stringify([model.text, positive.text, negative.text, settings, source, index]),
      loras: [...model.loras, ...encoderLoras],
    }));
    // Painting runs meanwhile, so that a picture takes the render time and little more.
    for (const recipe of batch) context.paint(recipe, latent.size).catch(() => undefined);
    await sample(inputs.number('steps'), context);
    return { outputs: [{ type: 'LATENT', size: latent.size, batch }] };
  },
};

const vaeDecode: NodeClass = {
  name: 'VAEDecode',
  displayName: 'VAE Decode',
  category: 'latent',
  required: { samples: { kind: 'link', type: 'LATENT' }, vae: { kind: 'link', type: 'VAE' } },
  outputs: [{ type: 'IMAGE', name: 'IMAGE' }],
  isOutput: false,
  execute: (inputs) => {
    const { size, batch } = inputs.value('samples', 'LATENT');
    const decoded = batch.map((recipe) => recipe ?? ({ kind: 'flat', color: 0x80_80_80 } as const));
    return Promise.resolve({ outputs: [{ type: 'IMAGE', size, batch: decoded }] });
  },
};

const vaeEncode: NodeClass = {
  name: 'VAEEncode',
  displayName: 'VAE Encode',
  category: 'latent',
  required: { pixels: { kind: 'link', type: 'IMAGE' }, vae: { kind: 'link', type: 'VAE' } },
  outputs: [{ type: 'LATENT', name: 'LATENT' }],
  isOutput: false,
  execute: (inputs) => {
    const { size, batch } = inputs.value('pixels', 'IMAGE');
    return Promise.resolve({ outputs: [{ type: 'LATENT', size, batch }] });
  },
};

/** From text to picture. A sampler takes the server's render time, in as many steps as it was told. */
export const samplingNodes: readonly NodeClass[] = [
  clipTextEncode,
  clipSetLastLayer,
  emptyLatentImage,
  kSampler,
  vaeDecode,
  vaeEncode,
];

/** Ticks against the time of the start, so that late ticks do not add up. */
async function sample(steps: number, { renderMs, wait, step }: NodeContext): Promise<void> {
  const start = performance.now();
  for (let value = 1; value <= steps; value++) {
    await wait(start + (renderMs * value) / steps - performance.now());
    await step(value, steps);
  }
}
