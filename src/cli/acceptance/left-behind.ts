import type { ComfyuiClient } from '../../comfyui/client.js';
import { gpuIndexes, gpuLockPath, findDevice } from '../../gpu/devices.js';
import { describeGpuState, readGpuState } from '../../gpu/gpu-state.js';
import type { CommandContext } from '../command-context.js';
import { livingTrainers } from '../status/living-trainers.js';
import type { Proof } from './proof.js';

/** What goes on although the run has ended. */
export interface LeftBehind {
  /** In ComfyUI's queue, running and pending. */
  readonly prompts: number;
  readonly trainers: readonly { readonly run: string; readonly pid: number }[];
  /** GPUs that this state directory still holds, or where processes of its last holder live, in words. */
  readonly gpus: readonly string[];
}

/**
 * To be asked while the workers still run: what stops them ends trainers too.
 *
 * @throws TowerError of ComfyUI, `LOCK_FAILED`, `NVIDIA_SMI_FAILED`
 */
export async function readLeftBehind(
  context: Pick<CommandContext, 'config' | 'paths'>,
  client: Pick<ComfyuiClient, 'queue'>,
): Promise<LeftBehind> {
  const { running, pending } = await client.queue();
  return {
    prompts: running.length + pending.length,
    trainers: await livingTrainers(context),
    gpus: await heldGpus(context),
  };
}

export function leftBehindProof({ prompts, trainers, gpus }: LeftBehind): Proof {
  const living = trainers.map(({ run, pid }) => `the trainer of ${run} lives (pid ${pid})`);
  const found = [...living, ...gpus];
  return {
    what: 'Nothing is left behind',
    by: [`${prompts} in ComfyUI's queue`, ...(found.length === 0 ? ['no trainer lives, no GPU is held'] : found)].join(
      '; ',
    ),
    holds: prompts === 0 && found.length === 0,
  };
}

async function heldGpus({ config: { gpu }, paths }: Pick<CommandContext, 'config' | 'paths'>): Promise<string[]> {
  const held: string[] = [];
  for (const index of await gpuIndexes(gpu)) {
    const lockPath = await gpuLockPath(gpu, { index, fallback: paths.gpu });
    const device = await findDevice(index, gpu.nvidiaSmi);
    const state = await readGpuState(device, { lockPath, python: gpu.python, nvidiaSmi: gpu.nvidiaSmi });
    // Another Tower may have the GPU by now.
    if ('holder' in state && state.holder.stateDirectory === paths.home) held.push(describeGpuState(state));
  }
  return held;
}
