import { listLivingWorkers, type LivingWorker } from '../temporal/living-workers.js';
import { describeQueueBacklog } from '../temporal/worker-queues.js';
import type { Config } from '../config/schema.js';
import { describeError, TowerError } from '../errors.js';
import { presentGpus } from '../gpu/devices.js';
import { gpuIndexOf, gpuQueue, hostQueue } from '../temporal/task-queues.js';
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

    listHostQueues(): Promise<readonly string[]> {
      const hosts = config.hosts?.map(({ name }) => name) ?? [environment.host];
      return Promise.resolve(hosts.map(hostQueue));
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

async function gpusOf(environment: WorkerEnvironment): Promise<Gpu[]> {
  const { config, host } = environment;
  if (config.hosts !== undefined) {
    return config.hosts.flatMap(({ name, gpus }) =>
      Array.from({ length: gpus }, (_, index) => ({ host: name, index })),
    );
  }
  const { indexes, silence } = await presentGpus(config.gpu);
  // A placement lasts longer than a silence of the driver: what has a worker says more than what is taken for granted.
  const served = silence === undefined ? [] : await servedIndexes(environment);
  return (served.length > 0 ? served : indexes).map((index) => ({ host, index }));
}

async function servedIndexes(environment: WorkerEnvironment): Promise<number[]> {
  const indexes = (await livingWorkers(environment)).map(({ queue }) => gpuIndexOf(queue, environment.host));
  return [...new Set(indexes.filter((index) => index !== undefined))].sort((one, other) => one - other);
}

async function livingWorkers({ client, log }: WorkerEnvironment): Promise<LivingWorker[]> {
  return listLivingWorkers(client).catch((error: unknown) => {
    // An older server does not list workers; what waits still tells something.
    log.warn({ error: describeError(error) }, 'the server does not say which workers there are');
    return [];
  });
}

/**
 * The GPU with the fewest activities, running and waiting; the first one where they are equal. One that no living worker serves is
 * taken only when that is so of all.
 */
async function leastBusy(environment: WorkerEnvironment, gpus: readonly Gpu[]): Promise<Gpu> {
  const [first] = gpus;
  if (gpus.length === 1 && first !== undefined) return first;
  const workers = await livingWorkers(environment);
  const loads = await Promise.all(
    gpus.map(async (gpu) => {
      const queue = gpuQueue(gpu.host, gpu.index);
      const serving = workers.filter((worker) => worker.queue === queue);
      const running = serving.reduce((sum, { busy }) => sum + busy, 0);
      const backlog = await describeQueueBacklog(environment.client, queue);
      const waiting = [...backlog.values()].reduce((sum, count) => sum + count, 0);
      return { gpu, served: serving.length > 0, work: running + waiting };
    }),
  );
  const served = loads.filter((load) => load.served);
  return (served.length > 0 ? served : loads).reduce((least, load) => (load.work < least.work ? load : least)).gpu;
}
