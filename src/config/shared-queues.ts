import { gpuQueue, hostQueue } from '../temporal/task-queues.js';

/**
 * Task queues that two hosts or GPUs would have in common, as faults in words: work for the one would reach the other. A
 * host named twice is the plain case; the other is a host `box-0` beside GPU 0 of `box`.
 */
export function sharedQueues(hosts: readonly { readonly name: string; readonly gpus: number }[]): string[] {
  const queues = hosts.flatMap(({ name, gpus }) => [
    { queue: hostQueue(name), owner: `host ${name}` },
    ...Array.from({ length: gpus }, (_, index) => ({
      queue: gpuQueue(name, index),
      owner: `GPU ${index} of host ${name}`,
    })),
  ]);
  return queues.flatMap(({ queue, owner }, position) => {
    const other = queues.slice(0, position).find((earlier) => earlier.queue === queue);
    if (other === undefined) return [];
    return [
      `expected a task queue for each host and GPU, but ${other.owner} and ${owner} share ${queue}: rename a host`,
    ];
  });
}
