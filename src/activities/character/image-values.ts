import type { CharacterJob } from '../../character/job.js';
import type { GraphValues } from '../../comfyui/graph-template.js';

/** What a graph's placeholders get for one image of a job. */
export function imageValues(
  job: CharacterJob,
  image: { readonly prompt: string; readonly negative: string; readonly seed: number; readonly prefix: string },
): GraphValues {
  const { width, height, checkpoint, steps, cfg, sampler, scheduler } = job;
  return { ...image, width, height, checkpoint, steps, cfg, sampler, scheduler };
}
