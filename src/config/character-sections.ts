import { z } from 'zod';

const gigabytes = (fallback: number) => z.number().min(0).default(fallback);

/** Where ComfyUI is, and where its files lie on the GPU host. */
export const comfyuiSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('base URL of ComfyUI; without it no image is rendered'),
  directory: z.string().optional().describe("ComfyUI's folder on this host, with models/loras and models/checkpoints"),
  loraDirectory: z
    .string()
    .optional()
    .describe('where LoRAs are delivered; default: models/loras of comfyui.directory'),
  checkpointDirectory: z
    .string()
    .optional()
    .describe('where the trainer finds checkpoints; default: models/checkpoints of comfyui.directory'),
  gpu: z
    .int()
    .nonnegative()
    .optional()
    .describe('GPU on which ComfyUI renders; images and proofs wait for it alone. Default: the first of gpu.devices'),
  awayMinutes: z
    .number()
    .positive()
    .default(10)
    .describe('how long a rendering waits for a ComfyUI that is away, over all its turns on the GPU'),
});

/** The Character LoRA, as far as a machine decides it; everything else stands in the job. */
export const characterSchema = z.strictObject({
  datasets: z.string().optional().describe('folder of the datasets; default: datasets in the state directory'),
  maxConcurrent: z.int().min(1).max(1000).default(5).describe('character runs at work at once; more of them wait'),
  sdScripts: z
    .string()
    .optional()
    .describe('folder of sd-scripts or kohya_ss; without it only simulated trainings run'),
  python: z.string().optional().describe("Python of sd-scripts' environment; default: the one in its venv folder"),
  imageVramGigabytes: gigabytes(9.8).describe('VRAM that rendering needs, what ComfyUI holds itself included'),
  trainVramGigabytes: gigabytes(10).describe('VRAM that a LoRA training needs'),
});
