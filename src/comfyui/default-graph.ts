import type { Graph } from './graph.js';

/** Text to image with an SD1.5 checkpoint, as the original pipeline renders (contracts/lora-pipeline.md section 4). */
export const defaultGraph: Graph = {
  '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: '%checkpoint%' } },
  '2': { class_type: 'CLIPTextEncode', inputs: { text: '%prompt%', clip: ['1', 1] }, _meta: { title: 'prompt' } },
  '3': { class_type: 'CLIPTextEncode', inputs: { text: '%negative%', clip: ['1', 1] }, _meta: { title: 'negative' } },
  '4': { class_type: 'EmptyLatentImage', inputs: { width: '%width%', height: '%height%', batch_size: 1 } },
  '5': {
    class_type: 'KSampler',
    inputs: {
      seed: '%seed%',
      steps: '%steps%',
      cfg: '%cfg%',
      sampler_name: '%sampler%',
      scheduler: '%scheduler%',
      denoise: 1,
      model: ['1', 0],
      positive: ['2', 0],
      negative: ['3', 0],
      latent_image: ['4', 0],
    },
  },
  '6': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['1', 2] } },
  '7': { class_type: 'SaveImage', inputs: { images: ['6', 0], filename_prefix: '%prefix%' } },
};
