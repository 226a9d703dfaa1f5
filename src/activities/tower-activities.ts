import { listLivingWorkers } from '../temporal/living-workers.js';
import { describeQueueBacklog } from '../temporal/worker-queues.js';
import type { Config } from '../config/schema.js';
import { describeError, TowerError } from '../errors.js';
import { presentGpus } from '../gpu/devices.js';
import { gpuQueue, hostQueue } from '../temporal/task-queues.js';
import type { Placement, TowerActivities } from './interfaces.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** Heartbeat timeout in periods: two lost heartbeats and a slow disk do not make a worker dead. */
const heartbeatPeriods = 4;
const shortestHeartbeatTimeoutMs = 3_000;

/** Activities of the `tower` queue. */
export function createTowerActivities(environment: WorkerEnvironment): TowerActivities {
  const { config } = environment;
  return {
    async choosePlacement({ host }): Promise<Placement> {
      const gpus = await gpusOf(environment);
      const candidates = gpus.filter((gpu) => host === undefined || gpu.host === host);
      if (candidates.length === 0) {
        const known = [...new Set(gpus.map((gpu) => gpu.host))].join(', ');
        throw new TowerError('UNKNOWN_HOST', `no GPU host is called ${host}; there are: ${known}`, {
          next: 'Name one of them by --host, or add it to `hosts` in the configuration.',
        });
      }
      const { host: chosen, index } = await leastBusy(environment, candidates);
      return {
        host: chosen,
        gpuIndex: index,
        hostQueue: hostQueue(chosen),
        gpuQueue: gpuQueue(chosen, index),
        heartbeatTimeoutMs: heartbeatTimeoutMs(config),
        simulated: config.train.trainer === 'simulated',
      };
    },

    async listHostQueues(): Promise<readonly string[]> {
      return [...new Set((await gpusOf(environment)).map(({ host }) => hostQueue(host)))];
    },
  };
}

export function heartbeatTimeoutMs({ worker }: Config): number {
  return Math.max(worker.heartbeatSeconds * 1000 * heartbeatPeriods, shortestHeartbeatTimeoutMs);
}

interface Gpu {
  readonly host: string;
  readonly index: number;
}

async function gpusOf({ config, host }: WorkerEnvironment): Promise<Gpu[]> {
  if (config.hosts === undefined) return (await presentGpus(config.gpu)).indexes.map((index) => ({ host, index }));
  return config.hosts.flatMap(({ name, gpus }) => Array.from({ length: gpus }, (_, index) => ({ host: name, index })));
}

/**
 * The GPU with the fewest activities, running and waiting; the first one where they are equal. One that no living worker serves is
 * taken only when that is so of all.
 */
async function leastBusy({ client, log }: WorkerEnvironment, gpus: readonly Gpu[]): Promise<Gpu> {
  const [first] = gpus;
  if (gpus.length === 1 && first !== undefined) return first;
  const workers = await listLivingWorkers(client).catch((error: unknown) => {
    // An older server does not list workers; what waits still tells something.
    log.warn({ error: describeError(error) }, 'the server does not say which workers there are');
    return [];
  });
  const loads = await Promise.all(
    gpus.map(async (gpu) => {
      const queue = gpuQueue(gpu.host, gpu.index);
      const serving = workers.filter((worker) => worker.queue === queue);
      const running = serving.reduce((sum, { busy }) => sum + busy, 0);
      const backlog = await describeQueueBacklog(client, queue);
      const waiting = [...backlog.values()].reduce((sum, count) => sum + count, 0);
      return { gpu, served: serving.length > 0, work: running + waiting };
    }),
  );
  const served = loads.filter((load) => load.served);
  return (served.length > 0 ? served : loads).reduce((least, load) => (load.work < least.work ? load : least)).gpu;
}
