import { describeQueueBacklog } from '../temporal/worker-queues.js';
import type { Config } from '../config/schema.js';
import { TowerError } from '../errors.js';
import { gpuIndexes } from '../gpu/devices.js';
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
      const candidates = (await gpusOf(environment)).filter((gpu) => host === undefined || gpu.host === host);
      if (candidates.length === 0) {
        throw new TowerError('UNKNOWN_HOST', `no GPU host is called ${host}`, {
          next: 'Name one of the configured hosts (`tower config show`).',
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
  if (config.hosts === undefined) return (await gpuIndexes(config.gpu)).map((index) => ({ host, index }));
  return config.hosts.flatMap(({ name, gpus }) => Array.from({ length: gpus }, (_, index) => ({ host: name, index })));
}

/** The GPU with the fewest waiting activities; the first one where they are equal. */
async function leastBusy({ client }: WorkerEnvironment, gpus: readonly Gpu[]): Promise<Gpu> {
  const [first] = gpus;
  if (gpus.length === 1 && first !== undefined) return first;
  const loads = await Promise.all(
    gpus.map(async (gpu) => {
      const backlog = await describeQueueBacklog(client, gpuQueue(gpu.host, gpu.index));
      return { gpu, waiting: [...backlog.values()].reduce((sum, count) => sum + count, 0) };
    }),
  );
  return loads.reduce((least, load) => (load.waiting < least.waiting ? load : least)).gpu;
}
