import { join } from 'node:path';

import { createComfyuiClient, type ComfyuiClient } from '../../comfyui/client.js';
import { TowerError } from '../../errors.js';
import type { WorkerEnvironment } from '../worker-environment.js';

/** The client of the configured ComfyUI. @throws TowerError `COMFYUI_NOT_CONFIGURED` */
export function comfyuiClient({ config, log }: Pick<WorkerEnvironment, 'config' | 'log'>): ComfyuiClient {
  const { url } = config.comfyui;
  if (url !== undefined) return createComfyuiClient({ baseUrl: url, log });
  throw new TowerError('COMFYUI_NOT_CONFIGURED', 'comfyui.url is not set: there is no ComfyUI that renders', {
    next: 'Set comfyui.url, mostly http://127.0.0.1:8188, in the configuration of the GPU host.',
  });
}

/** Where LoRAs go. @throws TowerError `COMFYUI_NOT_CONFIGURED` */
export function loraDirectory(environment: Pick<WorkerEnvironment, 'config'>): string {
  const { directory, loraDirectory: own } = environment.config.comfyui;
  if (own !== undefined) return own;
  if (directory !== undefined) return join(directory, 'models', 'loras');
  throw new TowerError('COMFYUI_NOT_CONFIGURED', 'neither comfyui.directory nor comfyui.loraDirectory is set', {
    next: "Set comfyui.directory to ComfyUI's folder on the GPU host; LoRAs are delivered to its models/loras.",
  });
}

/** The file of a checkpoint for the trainer; `undefined` when no folder is configured. */
export function checkpointPath({ config }: Pick<WorkerEnvironment, 'config'>, checkpoint: string): string | undefined {
  const { directory, checkpointDirectory } = config.comfyui;
  const folder =
    checkpointDirectory ?? (directory === undefined ? undefined : join(directory, 'models', 'checkpoints'));
  // ComfyUI lists names of a Windows host with its separators.
  return folder === undefined ? undefined : join(folder, ...checkpoint.split(/[\\/]/));
}
