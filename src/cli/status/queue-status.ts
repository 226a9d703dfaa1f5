import { hostNameOf } from '../../config/host-name.js';
import type { Config } from '../../config/schema.js';
import { presentGpus } from '../../gpu/devices.js';
import { gpuQueue, hostQueue, towerQueue } from '../../temporal/task-queues.js';
import { listLivingWorkers, type LivingWorker } from '../../temporal/living-workers.js';
import { describeQueueBacklog } from '../../temporal/worker-queues.js';
import type { CommandContext } from '../command-context.js';
import type { TemporalSession } from '../temporal-client.js';

/** One task queue: who serves it, and what waits in it. */
export interface QueueStatus {
  readonly queue: string;
  readonly kind: 'tower' | 'host' | 'gpu';
  readonly host: string | null;
  readonly gpuIndex: number | null;
  readonly workers: readonly LivingWorker[];
  /** Waiting activities by priority, 1 the most urgent; only of GPU queues. A few seconds old. */
  readonly waiting: readonly { readonly priority: number; readonly count: number }[];
}

type Queue = Pick<QueueStatus, 'queue' | 'kind' | 'host' | 'gpuIndex'>;

/** Every queue that the configuration makes Tower use, served or not. */
export async function readQueues(session: TemporalSession, context: CommandContext): Promise<QueueStatus[]> {
  const queues = await queuesOf(context.config);
  const workers = await listLivingWorkers(session.client);
  return Promise.all(
    queues.map(async (queue) => ({
      ...queue,
      workers: workers.filter((worker) => worker.queue === queue.queue),
      waiting: queue.kind === 'gpu' ? await waitingIn(session, queue.queue) : [],
    })),
  );
}

async function queuesOf(config: Config): Promise<Queue[]> {
  const here = async () => [{ name: hostNameOf(config), indexes: (await presentGpus(config.gpu)).indexes }];
  const hosts =
    config.hosts?.map(({ name, gpus }) => ({ name, indexes: Array.from({ length: gpus }, (_, index) => index) })) ??
    (await here());
  return [
    { queue: towerQueue, kind: 'tower', host: null, gpuIndex: null },
    ...hosts.flatMap(({ name, indexes }): Queue[] => [
      { queue: hostQueue(name), kind: 'host', host: name, gpuIndex: null },
      ...indexes.map((index): Queue => ({ queue: gpuQueue(name, index), kind: 'gpu', host: name, gpuIndex: index })),
    ]),
  ];
}

async function waitingIn({ client }: TemporalSession, queue: string): Promise<QueueStatus['waiting']> {
  const backlog = await describeQueueBacklog(client, queue);
  return [...backlog.entries()]
    .map(([priority, count]) => ({ priority, count }))
    .sort((one, other) => one.priority - other.priority);
}
