import { execa } from 'execa';

import type { GpuDevice } from '../gpu/devices.js';
import type { Precision } from './base-model.js';

const queryTimeoutMs = 20_000;
/** Compute capability from which on GPUs calculate in bfloat16 (Ampere). */
const bfloat16Capability = 8;

/**
 * The precision that a device is good at: bfloat16 where it has it, because it does not overflow, else float16; full precision on a
 * CPU. A GPU whose driver does not tell its compute capability is taken for an older one.
 */
export async function choosePrecision(
  device: Pick<GpuDevice, 'kind' | 'index'>,
  nvidiaSmi: string,
): Promise<Precision> {
  if (device.kind === 'cpu') return 'no';
  const args = [`--id=${device.index}`, '--query-gpu=compute_cap', '--format=csv,noheader'];
  const { stdout, failed } = await execa(nvidiaSmi, args, { timeout: queryTimeoutMs, reject: false });
  const capability = failed ? Number.NaN : Number(stdout.trim());
  return capability >= bfloat16Capability ? 'bf16' : 'fp16';
}
