import { kindOfFile } from '../../kohya/model-kind.js';
import { readSafetensorsHeader } from '../../training/safetensors.js';
import { TowerError } from '../../errors.js';
import type { AppliedLora } from './picture.js';
import { NodeError, type Inputs, type ListedFolders, type NodeClass, type NodeContext } from './node-class.js';

const strength = {
  kind: 'FLOAT',
  options: { default: 1, min: -100, max: 100, step: 0.01 },
} as const;

const modelsIn = (folder: string) => ({
  kind: 'choice' as const,
  choices: ({ models }: ListedFolders) => models.list(folder) ?? [],
});

const loraInputs = {
  model: { kind: 'link', type: 'MODEL' },
  lora_name: modelsIn('loras'),
  strength_model: strength,
} satisfies Inputs;

const checkpointLoaderSimple: NodeClass = {
  name: 'CheckpointLoaderSimple',
  displayName: 'Load Checkpoint',
  category: 'loaders',
  required: { ckpt_name: modelsIn('checkpoints') },
  outputs: [
    { type: 'MODEL', name: 'MODEL' },
    { type: 'CLIP', name: 'CLIP' },
    { type: 'VAE', name: 'VAE' },
  ],
  isOutput: false,
  execute: async (inputs, context) => {
    const text = inputs.text('ckpt_name');
    await wholeFile(context, 'checkpoints', text);
    context.modelLoaded();
    return {
      outputs: [
        { type: 'MODEL', text, loras: [] },
        { type: 'CLIP', text, loras: [] },
        { type: 'VAE', text },
      ],
    };
  },
};

const vaeLoader: NodeClass = {
  name: 'VAELoader',
  displayName: 'Load VAE',
  category: 'loaders',
  required: { vae_name: modelsIn('vae') },
  outputs: [{ type: 'VAE', name: 'VAE' }],
  isOutput: false,
  execute: async (inputs, context) => {
    const text = inputs.text('vae_name');
    await wholeFile(context, 'vae', text);
    return { outputs: [{ type: 'VAE', text }] };
  },
};

const loraLoader: NodeClass = {
  name: 'LoraLoader',
  displayName: 'Load LoRA',
  category: 'loaders',
  required: {
    model: loraInputs.model,
    clip: { kind: 'link', type: 'CLIP' },
    lora_name: loraInputs.lora_name,
    strength_model: strength,
    strength_clip: strength,
  },
  outputs: [
    { type: 'MODEL', name: 'MODEL' },
    { type: 'CLIP', name: 'CLIP' },
  ],
  isOutput: false,
  execute: async (inputs, context) => {
    const model = inputs.value('model', 'MODEL');
    const clip = inputs.value('clip', 'CLIP');
    const strengths = [inputs.number('strength_model'), inputs.number('strength_clip')] as const;
    if (strengths[0] === 0 && strengths[1] === 0) return { outputs: [model, clip] };
    const apply = await loadedLora(context, inputs.text('lora_name'), model.text);
    return {
      outputs: [
        { ...model, loras: [...model.loras, ...apply(strengths[0])] },
        { ...clip, loras: [...clip.loras, ...apply(strengths[1])] },
      ],
    };
  },
};

const loraLoaderModelOnly: NodeClass = {
  name: 'LoraLoaderModelOnly',
  displayName: 'LoraLoaderModelOnly',
  category: 'loaders',
  required: loraInputs,
  outputs: [{ type: 'MODEL', name: 'MODEL' }],
  isOutput: false,
  execute: async (inputs, context) => {
    const model = inputs.value('model', 'MODEL');
    const strengthModel = inputs.number('strength_model');
    if (strengthModel === 0) return { outputs: [model] };
    const apply = await loadedLora(context, inputs.text('lora_name'), model.text);
    return { outputs: [{ ...model, loras: [...model.loras, ...apply(strengthModel)] }] };
  },
};

/** Nodes that read model files. What is in them does not matter, except that they are whole and what a LoRA contains. */
export const loaderNodes: readonly NodeClass[] = [checkpointLoaderSimple, vaeLoader, loraLoader, loraLoaderModelOnly];

/**
 * How a LoRA is applied at some strength; not at all when its weights are zero or the strength is, or when it is for another kind
 * of model: none of its keys fits then.
 */
async function loadedLora(
  context: NodeContext,
  name: string,
  checkpoint: string,
): Promise<(strength: number) => AppliedLora[]> {
  const path = existingFile(context, 'loras', name);
  const model = context.models.find('checkpoints', checkpoint);
  const content = (await isForAnother(path, model)) ? null : await context.loraContent(path);
  return (applied) => (content === null || applied === 0 ? [] : [{ content, strength: applied }]);
}

async function isForAnother(lora: string, model: string | undefined): Promise<boolean> {
  if (model === undefined) return false;
  const [its, wanted] = await Promise.all([kindOfFile(lora), kindOfFile(model)]);
  return its !== undefined && wanted !== undefined && its !== wanted;
}

async function wholeFile(context: NodeContext, folder: string, name: string): Promise<void> {
  const path = existingFile(context, folder, name);
  if (/\.(safetensors|sft)$/i.test(path)) await safetensorsOf(path);
}

function existingFile({ models }: NodeContext, folder: string, name: string): string {
  const path = models.find(folder, name);
  if (path === undefined) {
    throw new NodeError(
      'FileNotFoundError',
      `Model in folder '${folder}' with filename '${name}' not found. (simulated)`,
    );
  }
  return path;
}

/** @throws NodeError as the real library names a broken file */
export async function safetensorsOf(path: string): ReturnType<typeof readSafetensorsHeader> {
  try {
    return await readSafetensorsHeader(path);
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    throw new NodeError('safetensors_rust.SafetensorError', `Error while deserializing header: ${error.message}`);
  }
}
