import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { pino } from 'pino';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { pickPort } from '../../src/temporal/free-ports.js';
import {
  startEmbeddedServer,
  type EmbeddedServer,
  type EmbeddedServerInput,
} from '../../src/temporal/embedded-server.js';
import { prepareNamespace } from '../../src/temporal/prepare-namespace.js';
import { findRunningServer, readServerRecord } from '../../src/temporal/server-file.js';
import { towerSearchAttributes } from '../../src/temporal/search-attributes.js';
import type { TemporalCli } from '../../src/toolchain/temporal-cli.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { waitUntil } from '../support/wait-until.js';

const log = pino({ level: 'silent' });
const options = { signal: new AbortController().signal, log };

let cli: TemporalCli;
let stateDirectory: string;
const started: EmbeddedServer[] = [];
const children: ChildProcess[] = [];

beforeAll(async () => {
  cli = await testTemporalCli();
});

beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'tower-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of started.splice(0)) await server.stop();
  await rm(stateDirectory, { recursive: true, force: true });
});

function input(overrides: Partial<EmbeddedServerInput> = {}): EmbeddedServerInput {
  return {
    cli,
    stateDirectory,
    namespace: 'default',
    retentionDays: 90,
    searchAttributes: Object.values(towerSearchAttributes),
    logPath: join(stateDirectory, 'logs', 'temporal-server.log'),
    ...overrides,
  };
}

async function start(overrides: Partial<EmbeddedServerInput> = {}): Promise<EmbeddedServer> {
  const server = await startEmbeddedServer(input(overrides), options);
  started.push(server);
  return server;
}

async function withClient<Result>(server: EmbeddedServer, use: (client: Client) => Promise<Result>): Promise<Result> {
  const connection = await Connection.connect({ address: server.address });
  try {
    return await use(new Client({ connection, namespace: server.namespace }));
  } finally {
    await connection.close();
  }
}

async function retentionDays(client: Client): Promise<number> {
  const { config } = await client.workflowService.describeNamespace({ namespace: client.options.namespace });
  return Number(config?.workflowExecutionRetentionTtl?.seconds) / 86_400;
}

function groupExists(leader: number): boolean {
  try {
    process.kill(-leader, 0);
    return true;
  } catch {
    return false;
  }
}

describe('embedded Temporal server', () => {
  it('keeps workflows, retention and search attributes over a restart, on the same ports', async () => {
    // None that another Tower would take in between.
    const first = await start({ ports: { grpc: await pickPort([]), ui: await pickPort([]) } });
    await withClient(first, async (client) => {
      expect(await retentionDays(client)).toBe(90);
      await client.workflow.start('anything', {
        workflowId: 'kept',
        taskQueue: 'nobody',
        typedSearchAttributes: [
          { key: towerSearchAttributes.stage, value: 'train' },
          { key: towerSearchAttributes.loss, value: 1.5 },
          { key: towerSearchAttributes.simulated, value: true },
        ],
      });
    });
    await first.stop();
    expect(await findRunningServer(stateDirectory)).toBeUndefined();

    const another = defineSearchAttributeKey('TowerAnother', SearchAttributeType.KEYWORD);
    const second = await start({ retentionDays: 30, searchAttributes: [towerSearchAttributes.stage, another] });
    expect(second.address).toBe(first.address);
    expect(second.uiAddress).toBe(first.uiAddress);
    await withClient(second, async (client) => {
      expect(await retentionDays(client)).toBe(30);
      await waitUntil('the old workflow is listed', async () => {
        return (
          (await client.workflow.count("TowerStage = 'train' AND TowerLoss > 1 AND TowerSimulated = true")).count === 1
        );
      });
      const late = { key: another, value: 'new' };
      await client.workflow.start('anything', {
        workflowId: 'late',
        taskQueue: 'nobody',
        typedSearchAttributes: [late],
      });
    });
    expect((await readdir(join(stateDirectory, 'temporal'))).filter((name) => name.endsWith('.db'))).toEqual([
      `temporal-${cli.version}.db`,
    ]);
  });

  it('makes a namespace that an old database does not have', async () => {
    const first = await start();
    await first.stop();
    const second = await start({ namespace: 'tower-test' });
    await withClient(second, async (client) => {
      expect(await retentionDays(client)).toBe(90);
      const { customAttributes } = await client.connection.operatorService.listSearchAttributes({
        namespace: 'tower-test',
      });
      expect(Object.keys(customAttributes)).toEqual(
        expect.arrayContaining(Object.values(towerSearchAttributes).map(({ name }) => name)),
      );
    });
  });

  it('refuses a search attribute that has another type already', async () => {
    const server = await start({ inMemory: true });
    const wrong = defineSearchAttributeKey('TowerStage', SearchAttributeType.INT);
    await withClient(server, async ({ connection }) => {
      const needs = { namespace: 'default', retentionDays: 90, searchAttributes: [wrong] };
      await expect(prepareNamespace(connection as Connection, needs, options)).rejects.toMatchObject({
        code: 'SEARCH_ATTRIBUTE_CONFLICT',
      });
    });
  });

  it('takes other ports when the wanted ones are used', async () => {
    const taken = createServer();
    const port = await pickPort([]);
    taken.listen(port, '127.0.0.1');
    await once(taken, 'listening');
    try {
      const server = await start({ inMemory: true, ports: { grpc: port, ui: port } });
      expect(server.address).not.toBe(`127.0.0.1:${port}`);
      expect((await fetch(server.uiAddress)).status).toBe(200);
    } finally {
      taken.close();
    }
  });

  it('several that start at the same moment with the same wanted ports all come up', async () => {
    const ports = { grpc: await pickPort([]), ui: await pickPort([]) };
    const servers = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => {
        const directory = join(stateDirectory, name);
        const logPath = join(directory, 'temporal-server.log');
        return start({ inMemory: true, stateDirectory: directory, logPath, ports });
      }),
    );
    expect(new Set(servers.map(({ address }) => address)).size).toBe(4);
  });

  it.runIf(process.platform === 'linux')('listens on the loopback address only', async () => {
    const server = await start({ inMemory: true });
    const listening = await listeningAddresses(server.pid);
    expect(listening.length).toBeGreaterThanOrEqual(2);
    expect(listening.filter((address) => !/^(0100007F|0{24}0100007F|0{31}1)$/i.test(address))).toEqual([]);
  });

  it('is the only one of its state directory', async () => {
    await start({ inMemory: true });
    await expect(startEmbeddedServer(input({ inMemory: true }), options)).rejects.toMatchObject({
      code: 'EMBEDDED_SERVER_RUNNING',
    });
  });

  it('shows the end of the log when the server cannot start', async () => {
    await start().then((server) => server.stop());
    const database = join(stateDirectory, 'temporal', `temporal-${cli.version}.db`);
    await rm(`${database}-wal`, { force: true });
    await writeFile(database, 'no database at all '.repeat(500));
    await expect(startEmbeddedServer(input(), options)).rejects.toMatchObject({
      code: 'EMBEDDED_SERVER_FAILED',
      message: expect.stringMatching(/file is not a database/) as unknown,
    });
    expect(await findRunningServer(stateDirectory)).toBeUndefined();
  });

  it('reports its end when it is killed from outside', async () => {
    const server = await start({ inMemory: true });
    process.kill(-server.pid, 'SIGKILL');
    expect((await server.exited).signal).toBe('SIGKILL');
    await waitUntil('the group is gone', () => !groupExists(server.pid));
  });

  it('stops waiting and leaves no process when it is aborted', async () => {
    const abort = new AbortController();
    const running = startEmbeddedServer(input({ inMemory: true }), { signal: abort.signal, log });
    const refused = expect(running).rejects.toThrow('enough');
    await waitUntil('it is recorded', async () => (await readServerRecord(stateDirectory)) !== undefined);
    const pid = (await readServerRecord(stateDirectory))?.process.pid ?? 0;
    abort.abort(new Error('enough'));
    await refused;
    // Its guard notices the end a moment later.
    await waitUntil('its group is gone', () => !groupExists(pid));
  });
});

describe('a Tower that is killed', () => {
  /** Another Node process that starts the guarded server exactly as Tower does, from the compiled sources. */
  function spawnOwner(): ChildProcess {
    const script = join(import.meta.dirname, '..', 'support', 'embedded-server-owner.mjs');
    const child = spawn(process.execPath, [script, JSON.stringify(input())], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  }

  it('takes its server with it, and the next one goes on with the database', async () => {
    const owner = spawnOwner();
    const [ready] = (await once(owner.stdout ?? owner, 'data')) as [Buffer];
    const { pid, address } = JSON.parse(ready.toString()) as { pid: number; address: string };
    const connection = await Connection.connect({ address });
    await new Client({ connection }).workflow.start('anything', { workflowId: 'kept', taskQueue: 'nobody' });
    await connection.close();

    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const next = await start();
    await waitUntil('the old group is gone', () => !groupExists(pid));
    expect(next.address).toBe(address);
    await withClient(next, async (client) => {
      expect((await client.workflow.getHandle('kept').describe()).status.name).toBe('RUNNING');
    });
  });
});

async function listeningAddresses(leader: number): Promise<string[]> {
  const inodes = new Set<string>();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) !== leader) continue;
    for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
  }
  const lines: string[] = [];
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6'].filter((path) => existsSync(path))) {
    lines.push(...(await readFile(table, 'utf8')).trim().split('\n').slice(1));
  }
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const listening = fields.filter((field) => field[3] === '0A' && inodes.has(field[9] ?? ''));
  return listening.map((field) => (field[1] ?? '').split(':')[0] ?? '');
}
