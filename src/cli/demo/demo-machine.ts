import { join } from 'node:path';

import { Client, Connection } from '@temporalio/client';

import { cacheDirectory } from '../../config/locations.js';
import { serverApiKeyVariable } from '../../config/secrets.js';
import { TowerError } from '../../errors.js';
import type { Log } from '../../log/logger.js';
import { makeTinyModel } from '../../qlora/tiny-model.js';
import { startComfyuiServer, type ComfyuiServer } from '../../sims/comfyui/server.js';
import { startLlmServer, type LlmServer } from '../../sims/llm/server.js';
import { startSyntxService, type SyntxService } from '../../sims/syntx/server.js';
import { startSignzMindServer, type SignzMindServer } from '../../sims/signz-mind/server.js';
import { newKey, roles } from '../../sims/signz-mind/users.js';
import type { EmbeddedServer } from '../../temporal/embedded-server.js';
import { ensureTrainerEnvironment } from '../../toolchain/python-environment.js';
import type { CommandContext } from '../command-context.js';
import { comfyuiDirectory, tinyModelDirectory } from './demo-config.js';
import { startServer } from '../up/embedded-server.js';
import type { TemporalSession } from '../temporal-client.js';
import { createStatusLine } from '../status/status-line.js';
import { stopLivingTrainers } from '../up/stop-living-trainers.js';
import { startControlWorker, startGpuWorker, type WorkerProcess } from '../up/tower-processes.js';

/** How long the simulated ComfyUI takes for an image. */
const renderMs = 900;

const connectTimeout = '10s';

/** A part that the demo asks for before it is started. */
const notStarted = 'the demo machine is not started';

/** Everything that the demo runs, and the order of its end. */
export class DemoMachine {
  readonly context: CommandContext;
  readonly log: Log;
  /** Aborts on Ctrl-C, and when a part ends that nobody ended. */
  readonly signal: AbortSignal;
  readonly #lost = new AbortController();
  readonly #settings: readonly string[];
  /** Key of the editors at the reference server. */
  readonly editorKey = newKey();
  readonly #towerKey = newKey();
  #signz: SignzMindServer | undefined;
  #comfyui: ComfyuiServer | undefined;
  #llm: LlmServer | undefined;
  #wrapper: SyntxService | undefined;
  #server: EmbeddedServer | undefined;
  #control: WorkerProcess | undefined;
  #gpu: WorkerProcess | undefined;

  /** @param options - `settings`: those of `--set`, which the workers get, too. */
  constructor(
    context: CommandContext,
    { log, signal, settings }: { log: Log; signal: AbortSignal; settings: readonly string[] },
  ) {
    this.#settings = settings;
    this.context = context;
    this.log = log;
    this.signal = AbortSignal.any([signal, this.#lost.signal]);
  }

  get server(): EmbeddedServer {
    if (this.#server === undefined) throw new Error(notStarted);
    return this.#server;
  }

  get signz(): SignzMindServer {
    if (this.#signz === undefined) throw new Error(notStarted);
    return this.#signz;
  }

  async start(simulate: boolean): Promise<void> {
    const { output, home } = this.context;
    this.#server = await startServer(this.context, { log: this.log, signal: this.signal });
    output.say(`Temporal server ${this.server.address}, Web UI ${this.server.uiAddress}`);
    if (!simulate) await this.#prepareTrainer();
    this.#signz = await startSignzMindServer({
      directory: join(home, 'signz-mind'),
      users: [
        { username: 'tower', roles: [roles.tower, roles.consumer], apiKey: this.#towerKey },
        { username: 'editor', roles: [roles.contributor], apiKey: this.editorKey },
      ],
    });
    output.say(`Reference Signz-Mind server (simulated) ${this.signz.address}`);
    this.#comfyui = await startComfyuiServer({ directory: comfyuiDirectory(home), settings: { renderMs } });
    output.say(`ComfyUI (simulated) ${this.#comfyui.address}`);
    this.#llm = await startLlmServer();
    this.#wrapper = await startSyntxService({ directory: join(home, 'prompts', 'service') });
    output.say(
      `Chat endpoint (simulated) ${this.#llm.address}, SYNTX wrapper service (simulated) ${this.#wrapper.address}`,
    );
    this.#control = this.#watched(await startControlWorker(this.#workerOptions()));
    await this.startGpuWorker();
  }

  /** `kill -9` of the GPU worker. */
  async killGpuWorker(): Promise<void> {
    if (this.#gpu === undefined) throw new Error(notStarted);
    const worker = this.#gpu;
    this.#gpu = undefined;
    process.kill(-worker.pid, 'SIGKILL');
    await worker.exited;
  }

  async startGpuWorker(): Promise<void> {
    this.#gpu = this.#watched(await startGpuWorker(0, this.#workerOptions()));
  }

  /** Runs work with a client of the demo's server. */
  async withSession<Result>(
    work: (session: Pick<TemporalSession, 'client' | 'connection'>) => Promise<Result>,
  ): Promise<Result> {
    const { address, namespace } = this.server;
    const connection = await Connection.connect({ address, connectTimeout });
    try {
      return await work({ client: new Client({ connection, namespace }), connection });
    } finally {
      await connection.close();
    }
  }

  /** Ends everything that was started, trainers too. */
  async stop(): Promise<void> {
    const workers = [this.#gpu, this.#control];
    this.#gpu = this.#control = undefined;
    await Promise.all(workers.map(async (worker) => worker?.stop()));
    await stopLivingTrainers(this.context, { log: this.log });
    await this.#comfyui?.close();
    await this.#wrapper?.close();
    await this.#llm?.close();
    await this.#signz?.close();
    await this.#server?.stop();
  }

  async #prepareTrainer(): Promise<void> {
    const { output, home } = this.context;
    const progress = await createStatusLine(output);
    try {
      const { python, created } = await ensureTrainerEnvironment(
        { device: 'cpu', cacheDirectory: cacheDirectory(process.env) },
        { signal: this.signal, log: this.log, onProgress: ({ phase, message }) => progress.show(phase, message) },
      );
      progress.show('model', 'making a tiny model with random weights');
      await makeTinyModel(tinyModelDirectory(home), { python, signal: this.signal });
      progress.close();
      output.say(`Trainer environment ${created ? 'built' : 'found'}; tiny model made`);
    } finally {
      progress.close();
    }
  }

  #watched(worker: WorkerProcess): WorkerProcess {
    void worker.exited.then(({ code, signal }) => {
      if (worker !== this.#control && worker !== this.#gpu) return;
      const message = `the ${worker.name} worker of the demo ended (${signal ?? `exit code ${code}`})`;
      this.#lost.abort(new TowerError('PART_ENDED', message, { next: `Look at ${this.context.paths.logs}.` }));
    });
    return worker;
  }

  #workerOptions() {
    return {
      context: this.context,
      globalArguments: [
        '--config',
        join(this.context.home, 'tower.toml'),
        ...this.#settings.flatMap((setting) => ['--set', setting]),
      ],
      environment: {
        ...process.env,
        [serverApiKeyVariable]: this.#towerKey,
        TOWER_SERVER_URL: this.signz.address,
        TOWER_COMFYUI_URL: this.#comfyui?.address,
        TOWER_SYNTX_GENERATION_BASE_URL: this.#llm?.address,
        TOWER_SYNTX_WRAPPER_URL: this.#wrapper?.address,
      },
    };
  }
}
