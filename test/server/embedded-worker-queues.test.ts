import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { startEmbeddedServer, type EmbeddedServer } from '../../src/temporal/embedded-server.js';
import { gpuQueue } from '../../src/temporal/task-queues.js';
import { describeQueueBacklog } from '../../src/temporal/worker-queues.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { waitUntil } from '../support/wait-until.js';

const taskQueue = gpuQueue('box', 0);
const log = pino({ level: 'silent' });
let stateDirectory: string;
let server: EmbeddedServer;
let connection: Connection;
let native: NativeConnection;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  stateDirectory = await mkdtemp(join(tmpdir(), 'tower-'));
  const cli = await testTemporalCli();
  const logPath = join(stateDirectory, 'server.log');
  const input = { cli, stateDirectory, logPath, namespace: 'default', retentionDays: 30, searchAttributes: [] };
  server = await startEmbeddedServer({ ...input, inMemory: true }, { signal: new AbortController().signal, log });
  connection = await Connection.connect({ address: server.address });
  native = await NativeConnection.connect({ address: server.address });
});

afterAll(async () => {
  await native.close();
  await connection.close();
  await server.stop();
  await rm(stateDirectory, { recursive: true, force: true });
});

it('counts what waits by priority, and hands it out strictly in that order', async () => {
  const client = new Client({ connection });
  const priorities = [5, 3, 1, 4, 2, 5, 1, 3];
  const handles = await Promise.all(
    priorities.map((priorityKey, index) => {
      const activity = { id: `work-${index}`, taskQueue, scheduleToCloseTimeout: '1 minute' } as const;
      return client.activity.start('note', { ...activity, args: [priorityKey], priority: { priorityKey } });
    }),
  );
  await waitUntil('all are counted', async () => {
    const counts = [...(await describeQueueBacklog(client, taskQueue)).values()];
    return counts.reduce((sum, count) => sum + count, 0) === priorities.length;
  });
  expect(Object.fromEntries(await describeQueueBacklog(client, taskQueue))).toEqual({ 1: 2, 2: 1, 3: 2, 4: 1, 5: 2 });

  const order: number[] = [];
  const worker = await Worker.create({
    connection: native,
    taskQueue,
    maxConcurrentActivityTaskExecutions: 1,
    activities: {
      note: (priority: number): Promise<void> => {
        order.push(priority);
        return Promise.resolve();
      },
    },
  });
  await worker.runUntil(Promise.all(handles.map((handle) => handle.result())));
  expect(order).toEqual([...priorities].sort());
  await waitUntil('nothing waits', async () => (await describeQueueBacklog(client, taskQueue)).size === 0);
});
