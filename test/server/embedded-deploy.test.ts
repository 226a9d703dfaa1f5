import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { execa, type Result } from 'execa';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/temporal/embedded-server.js';
import { prepareNamespace } from '../../src/temporal/prepare-namespace.js';
import { towerSearchAttributes } from '../../src/temporal/search-attributes.js';
import type { TemporalCli } from '../../src/toolchain/temporal-cli.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { waitUntil } from '../support/wait-until.js';

const options = { signal: new AbortController().signal, log: pino({ level: 'silent' }) };
let stateDirectory: string;
let cli: TemporalCli;
let server: EmbeddedServer;
let connection: Connection;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR'), workerHeartbeatInterval: '1s' });
  stateDirectory = await mkdtemp(join(tmpdir(), 'tower-'));
  cli = await testTemporalCli();
  const logPath = join(stateDirectory, 'server.log');
  const input = { cli, stateDirectory, logPath, namespace: 'default', retentionDays: 30, searchAttributes: [] };
  server = await startEmbeddedServer({ ...input, inMemory: true }, options);
  connection = await Connection.connect({ address: server.address });
});

afterAll(async () => {
  await connection.close();
  await server.stop();
  await rm(stateDirectory, { recursive: true, force: true });
});

async function prepare(retention: string): Promise<Result> {
  return execa('sh', [join(packageRoot, 'deploy', 'prepare-namespace.sh')], {
    env: {
      PATH: `${dirname(cli.path)}:${process.env['PATH']}`,
      TEMPORAL_ADDRESS: server.address,
      TEMPORAL_NAMESPACE: 'compose',
      TOWER_RETENTION: retention,
    },
  });
}

it('prepare-namespace.sh leaves nothing for Tower to add, and can run again', async () => {
  await prepare('30d');
  await prepare('90d');
  const { config } = await connection.workflowService.describeNamespace({ namespace: 'compose' });
  expect(Number(config?.workflowExecutionRetentionTtl?.seconds) / 86_400).toBe(90);
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'compose' });
  const ours = Object.keys(customAttributes).filter((name) => name.startsWith('Tower'));
  expect(ours.sort()).toEqual(
    Object.values(towerSearchAttributes)
      .map(({ name }) => name)
      .sort(),
  );
  // Refuses when a type differs.
  const searchAttributes = Object.values(towerSearchAttributes);
  await prepareNamespace(connection, { namespace: 'compose', retentionDays: 90, searchAttributes }, options);
});

it('the health check of a worker container holds while its worker lives', async () => {
  const health = async () => {
    const script = join(packageRoot, 'deploy', 'worker-health.js');
    const env = { TEMPORAL_ADDRESS: server.address, TOWER_HOME: stateDirectory };
    return execa(process.execPath, [script], { reject: false, env });
  };
  const native = await NativeConnection.connect({ address: server.address });
  const activities = { nothing: () => Promise.resolve() };
  const identity = `control@${hostname()}:${process.pid}`;
  const worker = await Worker.create({ connection: native, taskQueue: 'gpu-box', identity, activities });
  await worker.runUntil(async () => {
    const healthy = await waitUntil('a healthy worker', async () => {
      const said = await health();
      return said.exitCode === 0 ? said : undefined;
    });
    expect(healthy.stderr).toBe('');
  });
  await native.close();
  const dead = await waitUntil('a worker that is not healthy', async () => {
    const said = await health();
    return said.exitCode === 0 ? undefined : said;
  });
  expect(dead).toMatchObject({ exitCode: 1, stderr: `no heartbeat of a worker on ${hostname()}` });
});
