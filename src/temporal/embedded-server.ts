import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { TowerError } from '../errors.js';
import { isAlive } from '../gpu/process-table.js';
import type { ServiceOptions } from '../service-options.js';
import type { TemporalCli } from '../toolchain/temporal-cli.js';
import { awaitServer } from './await-server.js';
import { loopback, pickPort } from './free-ports.js';
import { startGuardedProcess, type GuardedProcess, type ProcessExit } from './guarded-process.js';
import type { NamespaceNeeds } from './prepare-namespace.js';
import {
  findRunningServer,
  identifyProcess,
  readServerRecord,
  temporalDirectory,
  writeServerRecord,
} from './server-file.js';
import { openServerLog, readLogTail } from './server-log.js';
import { startDevArguments } from './start-dev-arguments.js';

export interface EmbeddedServerInput extends NamespaceNeeds {
  readonly cli: Pick<TemporalCli, 'path' | 'version'>;
  readonly stateDirectory: string;
  readonly logPath: string;
  /** Preferred ports, after the ones used last; default 7233 and 8233. Others are taken when these are not free. */
  readonly ports?: { readonly grpc?: number; readonly ui?: number };
  /** No database file: everything is gone when the server stops. For tests and the demo. */
  readonly inMemory?: boolean;
  /** How long the server may take to answer, in milliseconds; default 60 s. */
  readonly startTimeoutMs?: number;
}

export interface EmbeddedServer {
  /** `host:port` of gRPC. */
  readonly address: string;
  /** URL of the Web UI. */
  readonly uiAddress: string;
  readonly namespace: string;
  readonly pid: number;
  /** Settles when the server has ended, whoever ended it. */
  readonly exited: Promise<ProcessExit>;
  /** Ends it in order; safe to call again. */
  stop(): Promise<void>;
}

const startAttempts = 5;
/** What the server says of a port that it cannot have; when it loses one in the middle of its start, 1.32 panics without its listener. */
const portWasTaken = /address already in use|nil pointer dereference[^]*frontend\.NewHTTPAPIServer/;
/** A server whose Tower was killed gets ten seconds to end (guarded-process.ts). */
const predecessorGraceMs = 15_000;

/**
 * Starts the real Temporal server of the CLI on the loopback address, with a SQLite file in the state directory, and
 * waits until its namespace can be used. The server ends when this process does, also after `kill -9`.
 *
 * @throws TowerError `EMBEDDED_SERVER_RUNNING` when another Tower runs one on this state directory;
 * `EMBEDDED_SERVER_FAILED` with the end of the server's log; those of `prepareNamespace`.
 */
export async function startEmbeddedServer(
  input: EmbeddedServerInput,
  options: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<EmbeddedServer> {
  if (input.retentionDays < 30) {
    throw new TowerError('CONFIG_INVALID', `retentionDays: expected 30 or more, found ${input.retentionDays}`);
  }
  await mkdir(temporalDirectory(input.stateDirectory), { recursive: true });
  await awaitPredecessor(input.stateDirectory, options);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(input, options);
    } catch (error) {
      // Between choosing a port and the server's listening on it, somebody else may take it.
      if (attempt >= startAttempts || !(error instanceof TowerError) || error.code !== 'PORT_LOST') throw error;
      options.log.warn({ attempt }, 'a port was taken while the server started; trying others');
    }
  }
}

async function startOnce(
  input: EmbeddedServerInput,
  options: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<EmbeddedServer> {
  const { stateDirectory, namespace, cli, logPath } = input;
  const { port, uiPort } = await pickPorts(input);
  const directory = temporalDirectory(stateDirectory);
  const databasePath = input.inMemory === true ? undefined : join(directory, `temporal-${cli.version}.db`);
  const log = await openServerLog(logPath);
  const logStart = (await log.stat()).size;
  let server: GuardedProcess;
  try {
    server = await startGuardedProcess({
      command: cli.path,
      args: startDevArguments({ port, uiPort, namespace, databasePath }),
      outputDescriptor: log.fd,
    });
  } finally {
    await log.close();
  }
  const running = { address: `${loopback}:${port}`, uiAddress: `http://${loopback}:${uiPort}` };
  try {
    // Recorded before it is ready, so that a successor of a killed Tower knows of it and waits for its end.
    await writeRecord(input, server.pid, running);
    await awaitServer(server, running.address, input, options);
  } catch (error) {
    await server.stop();
    options.signal.throwIfAborted();
    if (error instanceof TowerError && error.code !== 'EMBEDDED_SERVER_FAILED') throw error;
    // Also when the port is free again by now: somebody who only looked, as we do, held it for a moment.
    if (portWasTaken.test(await readLogTail(logPath, logStart, 256 * 1024))) {
      throw new TowerError('PORT_LOST', `port ${port} or ${uiPort} was taken`, {
        retryable: true,
        cause: error,
        next: 'Choose other ports in temporal.port and temporal.uiPort.',
      });
    }
    const tail = await readLogTail(logPath, logStart);
    throw new TowerError('EMBEDDED_SERVER_FAILED', `the Temporal server did not start; its log ends with:\n${tail}`, {
      cause: error,
      next: `Look at ${logPath}.`,
    });
  }
  options.log.info({ ...running, pid: server.pid, databasePath }, 'embedded Temporal server started');
  return {
    ...running,
    namespace,
    pid: server.pid,
    exited: server.exited,
    stop: async () => {
      await server.stop();
    },
  };
}

async function awaitPredecessor(
  stateDirectory: string,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<void> {
  const deadline = Date.now() + predecessorGraceMs;
  for (;;) {
    const running = await findRunningServer(stateDirectory);
    if (running === undefined) return;
    if (isAlive(running.owner) || Date.now() > deadline) {
      throw new TowerError(
        'EMBEDDED_SERVER_RUNNING',
        `a Temporal server of this state directory runs already: pid ${running.process.pid}, started by ${running.owner.pid}`,
        { next: 'Use that Tower, or stop it first; another Tower needs a state directory of its own (TOWER_HOME).' },
      );
    }
    log.debug({ pid: running.process.pid }, 'the server of a Tower that was killed is still ending');
    await sleep(100, undefined, { signal });
  }
}

async function pickPorts(input: EmbeddedServerInput): Promise<{ port: number; uiPort: number }> {
  const last = await readServerRecord(input.stateDirectory);
  const lastPort = last === undefined ? [] : [Number(last.address.split(':').at(-1))];
  const lastUiPort = last === undefined ? [] : [Number(new URL(last.uiAddress).port)];
  const port = await pickPort([...lastPort, input.ports?.grpc ?? 7233]);
  const uiPort = await pickPort([...lastUiPort, input.ports?.ui ?? 8233], [port]);
  return { port, uiPort };
}

async function writeRecord(
  input: EmbeddedServerInput,
  pid: number,
  running: { address: string; uiAddress: string },
): Promise<void> {
  const leader = identifyProcess(pid);
  const owner = identifyProcess(process.pid);
  if (leader === undefined || owner === undefined) {
    throw new TowerError('EMBEDDED_SERVER_FAILED', 'the server ended while it was being recorded');
  }
  const { namespace } = input;
  const record = { ...running, namespace, cliVersion: input.cli.version, startedAt: new Date().toISOString() };
  await writeServerRecord(input.stateDirectory, { ...record, process: leader, owner });
}
