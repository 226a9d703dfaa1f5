/**
 * Names of the task queues. Pure, so that workflow code may import them.
 *
 * - `tower`: all workflows, and activities that touch neither a GPU nor the files of a GPU host.
 * - `gpu-<host>`: activities that touch a run's files on that host, and those that must get through while its GPU is busy.
 * - `gpu-<host>-<index>`: one slot; activities that hold that GPU.
 */
export const towerQueue = 'tower';

export function hostQueue(host: string): string {
  return `gpu-${host}`;
}

/** @param index position of the GPU as the driver counts it, from 0. */
export function gpuQueue(host: string, index: number): string {
  return `gpu-${host}-${index}`;
}

/** The GPU that a queue is of; `undefined` for any that is none of this host's GPUs. */
export function gpuIndexOf(queue: string, host: string): number | undefined {
  const prefix = `${hostQueue(host)}-`;
  const index = queue.startsWith(prefix) ? queue.slice(prefix.length) : '';
  return /^\d+$/.test(index) ? Number(index) : undefined;
}
