import { Worker, type NativeConnection, type WorkerOptions } from '@temporalio/worker';
import { join } from 'node:path';
import { hostname } from 'node:os';

import { createCharacterGpuActivities } from './activities/character/gpu.js';
import { createCharacterHostActivities } from './activities/character/host.js';
import { createCharacterTowerActivities } from './activities/character/tower.js';
import { createGpuActivities } from './activities/gpu-activities.js';
import { createHostActivities } from './activities/host-activities.js';
import { createTowerActivities } from './activities/tower-activities.js';
import { createSyntxGpuActivities } from './activities/syntx/gpu.js';
import { createSyntxActivities } from './activities/syntx/tower.js';
import { FailureInterceptor } from './activities/failure-interceptor.js';
import type { WorkerEnvironment } from './activities/worker-environment.js';
import { packageRoot } from './files/package-root.js';
import { gpuQueue, hostQueue, towerQueue } from './temporal/task-queues.js';

/** `control`: workflows, host files, ledger. `gpu`: one GPU. Each role is best a process of its own. */
export type WorkerRole = { readonly kind: 'control' } | { readonly kind: 'gpu'; readonly index: number };

export interface CreateWorkersOptions {
  readonly roles: readonly WorkerRole[];
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly environment: WorkerEnvironment;
  /** Removes secrets from texts that go into history. */
  readonly redact: (text: string) => string;
}

/** Creates the workers of a process; the caller runs them together (`Promise.all(workers.map((w) => w.run()))`). */
export async function createWorkers(options: CreateWorkersOptions): Promise<Worker[]> {
  const workers: Worker[] = [];
  for (const role of options.roles) {
    for (const specific of role.kind === 'control' ? controlWorkers(options) : [gpuWorker(options, role.index)]) {
      workers.push(await Worker.create({ ...commonOptions(options, role), ...specific }));
    }
  }
  return workers;
}

type SpecificOptions = Partial<WorkerOptions> & Pick<WorkerOptions, 'taskQueue'>;

function controlWorkers({ environment }: CreateWorkersOptions): SpecificOptions[] {
  return [
    {
      taskQueue: towerQueue,
      workflowBundle: { codePath: join(packageRoot, 'dist', 'workflow-bundle.js') },
      activities: {
        ...createTowerActivities(environment),
        ...createCharacterTowerActivities(environment),
        ...createSyntxActivities(environment),
      },
      // After kill -9 of this worker, workflow tasks stuck to it are given to its successor after one second.
      stickyQueueScheduleToStartTimeout: '1s',
    },
    {
      taskQueue: hostQueue(environment.host),
      activities: { ...createHostActivities(environment), ...createCharacterHostActivities(environment) },
    },
  ];
}

function gpuWorker({ environment }: CreateWorkersOptions, index: number): SpecificOptions {
  return {
    taskQueue: gpuQueue(environment.host, index),
    activities: {
      ...createGpuActivities(environment),
      ...createCharacterGpuActivities(environment),
      ...createSyntxGpuActivities(environment),
    },
    // One slot: the queue's order by priority is the order on the GPU.
    maxConcurrentActivityTaskExecutions: 1,
  };
}

function commonOptions(options: CreateWorkersOptions, role: WorkerRole): Partial<WorkerOptions> {
  const { heartbeatSeconds, shutdownGraceSeconds } = options.environment.config.worker;
  const name = role.kind === 'gpu' ? `gpu-${role.index}` : role.kind;
  return {
    connection: options.connection,
    namespace: options.namespace,
    identity: `${name}@${hostname()}:${process.pid}`,
    // Throttle, period and timeout of heartbeats derive from one setting, so a cancellation arrives within one period.
    maxHeartbeatThrottleInterval: heartbeatSeconds * 1000,
    defaultHeartbeatThrottleInterval: heartbeatSeconds * 1000,
    shutdownGraceTime: shutdownGraceSeconds * 1000,
    shutdownForceTime: (shutdownGraceSeconds + 30) * 1000,
    interceptors: {
      activity: [
        (context) => ({
          inbound: new FailureInterceptor(context, { log: options.environment.log, redact: options.redact }),
        }),
      ],
    },
  };
}
