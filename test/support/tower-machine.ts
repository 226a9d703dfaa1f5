import { randomInt } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, Connection } from '@temporalio/client';
import { execa, type Result } from 'execa';
import { pino } from 'pino';
import { stringify } from 'smol-toml';

import { statePaths, type StatePaths } from '../../src/config/state-paths.js';
import { packageRoot } from '../../src/files/package-root.js';
import { endGroup } from '../../src/gpu/end-group.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/temporal/embedded-server.js';
import { startGuardedProcess, type GuardedProcess } from '../../src/temporal/guarded-process.js';
import { towerSearchAttributes } from '../../src/temporal/search-attributes.js';
import { allLivingLaunches } from '../../src/training/living-launches.js';
import { ownEnvironment } from './own-environment.js';
import { testTemporalCli } from './temporal-cli.js';
import { startUpProcess, type UpProcess } from './up-process.js';

const command = join(packageRoot, 'dist', 'client.js');
const silent = pino({ level: 'silent' });

/** Settings of a test machine, as they stand in the TOML file. */
export type Settings = Readonly<Record<string, unknown>>;

export interface TowerMachineOptions {
  readonly settings?: Settings;
  /** Added to the environment of every Tower process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** No server of the test's own: for tests that run `tower up`. */
  readonly serverless?: boolean;
  /** Settings of the Temporal server beside Tower's own, `name=value`. */
  readonly dynamicConfig?: readonly string[];
  /** The server keeps nothing on disk: for tests of very many workflows, which do not end it. */
  readonly inMemory?: boolean;
}

/** How a worker was started. */
interface WorkerStart {
  readonly role: string;
  /** Environment and configuration. */
  readonly settings: string;
}

/**
 * A whole Tower on this machine for a test: real Temporal server, real worker processes of the built program, a state
 * directory of its own. `close` ends everything, trainers too.
 */
export class TowerMachine {
  readonly home: string;
  readonly paths: StatePaths;
  readonly #options: TowerMachineOptions;
  /** With what each was started. */
  readonly #workers = new Map<GuardedProcess, WorkerStart>();
  #configuration = '';
  #up: UpProcess | undefined;
  #server: EmbeddedServer | undefined;
  #connection: Connection | undefined;
  #client: Client | undefined;

  private constructor(home: string, options: TowerMachineOptions) {
    this.home = home;
    this.paths = statePaths(home);
    this.#options = options;
  }

  static async create(options: TowerMachineOptions = {}): Promise<TowerMachine> {
    const home = await mkdtemp(join(tmpdir(), 'tower-'));
    const machine = new TowerMachine(home, options);
    await writeFile(machine.#temporalProfiles, '[profile.default]\n');
    await machine.configure({});
    if (options.serverless !== true) await machine.startServer();
    return machine;
  }

  /** Writes the configuration; workers read it when they start. */
  async configure(settings: Settings): Promise<void> {
    const base = {
      host: 'box',
      gpu: { devices: [0], lockDirectory: this.#lockDirectory, stopGraceSeconds: 2 },
      worker: { heartbeatSeconds: 1 },
      train: { trainer: 'simulated', minimumFreeGigabytes: 0 },
      // Never while tests run, whatever the time of day.
      schedules: { daily: { cron: '0 13 29 2 *' } },
    };
    const merged = mergeTables(mergeTables(base, this.#options.settings ?? {}), settings);
    this.#configuration = stringify(merged);
    await writeFile(this.configFile, this.#configuration);
  }

  get configFile(): string {
    return join(this.home, 'tower.toml');
  }

  /** The user's own profiles might name a real cluster. */
  get #temporalProfiles(): string {
    return join(this.home, 'temporal.toml');
  }

  gpuLock(index: number): string {
    return join(this.#lockDirectory, `gpu-${index}.lock`);
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      ...ownEnvironment(),
      TEMPORAL_CONFIG_FILE: this.#temporalProfiles,
      TOWER_HOME: this.home,
      TOWER_CONFIG: this.configFile,
      NO_COLOR: '1',
      ...this.#options.environment,
    };
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error('the server of this test machine is not running');
    return this.#client;
  }

  get server(): EmbeddedServer {
    if (this.#server === undefined) throw new Error('the server of this test machine is not running');
    return this.#server;
  }

  async startServer(): Promise<void> {
    this.#server = await startEmbeddedServer(
      {
        cli: await this.#temporalCli(),
        stateDirectory: this.home,
        logPath: join(this.paths.logs, 'temporal-server.log'),
        namespace: 'default',
        retentionDays: 30,
        inMemory: this.#options.inMemory ?? false,
        // Files run side by side: each machine looks for its ports somewhere else.
        ports: { grpc: randomInt(20_000, 25_000), ui: randomInt(25_000, 30_000) },
        searchAttributes: Object.values(towerSearchAttributes),
      },
      { signal: new AbortController().signal, log: silent },
    );
    await this.#connect(this.#server.address);
  }

  /** Runs `tower up`, whose server becomes this machine's. */
  async startUp(): Promise<UpProcess> {
    const up = await startUpProcess(this.environment);
    this.#up = up;
    await this.#connect(up.ready.address);
    return up;
  }

  /** `kill -9` of the whole server group; `startServer` brings it back with the same database and ports. */
  async killServer(): Promise<void> {
    await this.#connection?.close();
    process.kill(-this.server.pid, 'SIGKILL');
    await this.server.exited;
    this.#server = undefined;
    this.#client = undefined;
  }

  /** @param environment - Added for this worker alone. */
  startControl(environment: Readonly<Record<string, string>> = {}): Promise<GuardedProcess> {
    return this.#start('--role control', environment);
  }

  /** @param environment - Added for this worker alone. */
  startGpu(index = 0, environment: Readonly<Record<string, string>> = {}): Promise<GuardedProcess> {
    return this.#start(`--role gpu --gpu ${index}`, environment);
  }

  /** As `startControl`, unless one like that runs already; one of another configuration is stopped first. */
  ensureControl(environment: Readonly<Record<string, string>> = {}): Promise<GuardedProcess> {
    return this.#ensure('--role control', environment);
  }

  /** As `startGpu`, unless one like that runs already; one of another configuration is stopped first. */
  ensureGpu(index = 0, environment: Readonly<Record<string, string>> = {}): Promise<GuardedProcess> {
    return this.#ensure(`--role gpu --gpu ${index}`, environment);
  }

  /** `kill -9` of a worker's whole group. Its trainer has a group of its own. */
  async kill(worker: GuardedProcess): Promise<void> {
    this.#workers.delete(worker);
    process.kill(-worker.pid, 'SIGKILL');
    await worker.exited;
  }

  async stop(worker: GuardedProcess): Promise<void> {
    this.#workers.delete(worker);
    await worker.stop();
  }

  /** SIGTERM to every worker that still runs. */
  async stopWorkers(): Promise<void> {
    await Promise.all([...this.#workers.keys()].map((worker) => this.stop(worker)));
  }

  /** Runs the command line `tower` to its end. */
  tower(...args: string[]): Promise<Result> {
    return execa(process.execPath, [command, ...args], { env: this.environment, extendEnv: false, reject: false });
  }

  /** Ends everything of this machine and removes its state directory. */
  async close(): Promise<void> {
    await this.stopWorkers();
    this.#up?.signal('SIGINT');
    await this.#up?.ended;
    for (const { launch } of await allLivingLaunches(this.paths.runs)) await endGroup(launch.process, 500);
    await this.#connection?.close();
    await this.#server?.stop();
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }

  /** The Temporal CLI; with further settings a script that adds them. */
  async #temporalCli(): ReturnType<typeof testTemporalCli> {
    const cli = await testTemporalCli();
    const settings = this.#options.dynamicConfig ?? [];
    if (settings.length === 0) return cli;
    const path = join(this.home, 'temporal-cli');
    const added = settings.map((setting) => `--dynamic-config-value '${setting}'`).join(' ');
    await writeFile(path, `#!/bin/sh\nexec '${cli.path}' "$@" ${added}\n`, { mode: 0o755 });
    return { ...cli, path };
  }

  async #connect(address: string): Promise<void> {
    await this.#connection?.close();
    this.#connection = await Connection.connect({ address });
    this.#client = new Client({ connection: this.#connection });
  }

  get #lockDirectory(): string {
    return join(this.home, 'locks');
  }

  async #ensure(role: string, environment: Readonly<Record<string, string>>): Promise<GuardedProcess> {
    const wanted = this.#startOf(role, environment);
    for (const [worker, start] of this.#workers) {
      if (start.role !== role) continue;
      if (start.settings === wanted.settings) return worker;
      await this.stop(worker);
    }
    return this.#start(role, environment);
  }

  #startOf(role: string, environment: Readonly<Record<string, string>>): WorkerStart {
    return { role, settings: `${JSON.stringify(environment)}\n${this.#configuration}` };
  }

  async #start(role: string, environment: Readonly<Record<string, string>>): Promise<GuardedProcess> {
    mkdirSync(this.paths.logs, { recursive: true });
    const output = openSync(join(this.paths.logs, 'test-worker.log'), 'a');
    try {
      const worker = await startGuardedProcess({
        command: process.execPath,
        args: [command, 'worker', ...role.split(' ')],
        outputDescriptor: output,
        environment: { ...this.environment, ...environment },
      });
      this.#workers.set(worker, this.#startOf(role, environment));
      // One that ends by itself is none to go on with.
      void worker.exited.then(() => this.#workers.delete(worker));
      return worker;
    } finally {
      closeSync(output);
    }
  }
}

export function mergeTables(base: Settings, other: Settings): Settings {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(other)) {
    const existing = merged[key];
    merged[key] = isTable(existing) && isTable(value) ? mergeTables(existing, value) : value;
  }
  return merged;
}

function isTable(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
