import type { Client } from '@temporalio/client';

/** `TaskQueueType` of the server's API. */
const activityQueue = 2;

/**
 * How many activities wait in a queue, by priority key (1 is the most urgent). The server's own count, at most about 5 s
 * old, and right also while the queue shows no poller.
 *
 * @throws the SDK's gRPC errors.
 */
export async function describeQueueBacklog(
  { connection, options: { namespace } }: Pick<Client, 'connection' | 'options'>,
  taskQueue: string,
): Promise<ReadonlyMap<number, number>> {
  const { statsByPriorityKey } = await connection.workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: activityQueue,
    reportStats: true,
  });
  const counts = new Map<number, number>();
  for (const [priority, stats] of Object.entries(statsByPriorityKey ?? {})) {
    const count = Number(stats.approximateBacklogCount ?? 0);
    if (count > 0) counts.set(Number(priority), count);
  }
  return counts;
}
