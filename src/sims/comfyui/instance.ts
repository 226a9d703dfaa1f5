import { EventEmitter, once } from 'node:events';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';

import sharp from 'sharp';

import type { DialectFacts } from './dialect.js';
import { PromptExecutor, type Execution, type ExecutorHost } from './executor.js';
import type { Moment } from './faults.js';
import type { ListedFolders } from './node-class.js';
import { paintPicture } from './picture.js';
import { PromptQueue, type QueueItem } from './prompt-queue.js';
import { ServerDown } from './server-down.js';
import type { Settings } from './settings.js';
import { Sockets } from './sockets.js';
import type { Statistics } from './statistics.js';

export interface InstanceHost extends ListedFolders {
  readonly outputDirectory: string;
  readonly temporaryDirectory: string;
  readonly dialect: DialectFacts;
  readonly settings: Settings;
  /** Emits `change`. */
  readonly settingsEvents: EventEmitter;
  readonly statistics: Statistics;
  readonly restart: (downMs: number) => void;
  readonly kill: () => void;
}

/** What lives from one start of the server to its end: queue, history, caches, sockets, loaded models. */
export class Instance {
  readonly queue = new PromptQueue();
  readonly sockets: Sockets;
  readonly executor: PromptExecutor;
  /** Grows by one with each submit without a number. */
  counter = 0;
  /** Bytes of the models on the GPU. */
  loadedBytes = 0;
  /** What `POST /free` has asked for since the last job. */
  #flags = { unload: false, dropCaches: false };
  readonly #hidden = new Map<string, number>();
  readonly #host: InstanceHost;
  readonly #down = new AbortController();
  readonly #events = new EventEmitter().setMaxListeners(0);

  constructor(host: InstanceHost) {
    this.#host = host;
    this.sockets = new Sockets({
      remaining: () => this.queue.remaining,
      running: () => {
        const item = this.queue.running;
        return item === undefined ? undefined : { item, node: this.executor.lastNode };
      },
      features: () => this.features,
      silent: () => host.settings.wedged !== 'none',
      dead: () => host.settings.wedged === 'http',
    });
    this.executor = new PromptExecutor(this.#executorHost());
    void this.#run();
  }

  get features(): Readonly<Record<string, unknown>> {
    const flags = { supports_preview_metadata: true, max_upload_size: 100 * 2 ** 20 };
    return this.#host.dialect.jobs ? { ...flags, extension: { manager: { supports_v4: true } } } : flags;
  }

  /** @throws TypeError as {@link PromptQueue.put} does */
  submit(item: QueueItem): void {
    this.queue.put(item);
    const { statistics } = this.#host;
    statistics.accepted += 1;
    statistics.deepestQueue = Math.max(statistics.deepestQueue, this.queue.remaining);
    this.sockets.queueChanged();
    this.#events.emit('work');
  }

  /** Sets what the worker applies after the running job, or at once when idle. */
  free({ unload, dropCaches }: { readonly unload: boolean; readonly dropCaches: boolean }): void {
    this.#flags = { unload: this.#flags.unload || unload, dropCaches: this.#flags.dropCaches || dropCaches };
    this.#events.emit('work');
  }

  /** Whether the history is to say that it does not know a job although it is done. */
  isHidden(id: string): boolean {
    const left = this.#hidden.get(id) ?? 0;
    if (left > 0) this.#hidden.set(id, left - 1);
    return left > 0;
  }

  /** Resolves when this prompt is neither waiting nor running. */
  async ended(id: string): Promise<void> {
    const signal = this.#down.signal;
    const isThere = () => this.queue.running?.id === id || this.queue.pending.some((item) => item.id === id);
    while (isThere()) await once(this.#events, 'ended', { signal }).catch(throwDown);
  }

  /** Ends it at once, as the death of the process does: nothing is told, connections are cut. */
  stop(): void {
    this.#down.abort();
    this.sockets.terminate();
  }

  async #run(): Promise<void> {
    const { signal } = this.#down;
    try {
      for (;;) {
        this.#applyFlags();
        await this.#whileStandingStill();
        const item = this.queue.take();
        if (item === undefined) {
          await once(this.#events, 'work', { signal }).catch(throwDown);
          continue;
        }
        this.sockets.queueChanged();
        // Deleted by somebody else while it waited: no trace is left.
        if (item.fault?.kind === 'deleted') {
          this.queue.forgetRunning();
          this.sockets.queueChanged();
          this.#events.emit('ended');
        } else await this.#render(item);
      }
    } catch (error) {
      if (!(error instanceof ServerDown)) throw error;
    }
  }

  async #render(item: QueueItem): Promise<void> {
    const { statistics } = this.#host;
    const about = { promptId: item.id, ...namesOf(item), started: statistics.renderStarted() };
    let execution: Execution;
    try {
      execution = await this.executor.execute(item);
    } catch (error) {
      statistics.renderEnded({ ...about, cached: false, outcome: 'lost', files: [] });
      throw error;
    }
    const { entry, outcome, cached } = execution;
    if (item.fault?.kind === 'history-hidden') this.#hidden.set(item.id, item.fault.lookups);
    this.queue.done(entry);
    const saved = Object.values(entry.outputs).flatMap((output) => output['images'] ?? []);
    const files = saved.filter(({ type }) => type === 'output').map((file) => `${file.subfolder}/${file.filename}`);
    statistics.renderEnded({ ...about, cached, outcome, files });
    this.#events.emit('ended');
    this.#moment(item, 'after-history');
    this.sockets.queueChanged();
    if (item.fault?.kind !== 'unseen') {
      const data = { node: null, prompt_id: item.id };
      this.sockets.sendFor(item, 'executing', { data, broadcast: false });
    }
  }

  #executorHost(): ExecutorHost {
    const host = this.#host;
    return {
      models: host.models,
      inputFiles: host.inputFiles,
      inputPath: host.inputPath,
      outputDirectory: host.outputDirectory,
      temporaryDirectory: host.temporaryDirectory,
      settings: host.settings,
      send: (item, event, data, broadcast) => {
        this.sockets.sendFor(item, event, { data, broadcast });
      },
      preview: async (item, node) => {
        const wanted = host.settings.previews || previewMethodOf(item) !== 'none';
        if (wanted) this.sockets.sendPreview(item, node, await previewImage());
      },
      modelLoaded: () => {
        this.loadedBytes = host.settings.modelBytes;
      },
      unloadModels: () => {
        this.loadedBytes = 0;
      },
      wait: async (ms) => {
        const { signal } = this.#down;
        if (signal.aborted) throw new ServerDown();
        await (ms > 0 ? pause(ms, undefined, { signal }) : turn(undefined, { signal })).catch(throwDown);
        await this.#whileStandingStill();
      },
      moment: (item, moment) => {
        this.#moment(item, moment);
      },
    };
  }

  /** @throws ServerDown when this is the moment at which the server is told to go down */
  #moment({ fault }: QueueItem, moment: Moment): void {
    if (fault?.kind === 'restart' && fault.when === moment) this.#host.restart(fault.downMs);
    if (fault?.kind === 'kill' && fault.when === moment) this.#host.kill();
    if (this.#down.signal.aborted) throw new ServerDown();
  }

  async #whileStandingStill(): Promise<void> {
    const { settings, settingsEvents } = this.#host;
    while (settings.wedged === 'renderer' || settings.wedged === 'http') {
      await once(settingsEvents, 'change', { signal: this.#down.signal }).catch(throwDown);
    }
  }

  #applyFlags(): void {
    const { unload, dropCaches } = this.#flags;
    this.#flags = { unload: false, dropCaches: false };
    if (!this.#host.settings.frees) return;
    if (unload || dropCaches) this.loadedBytes = 0;
    if (dropCaches) this.executor.dropCaches();
  }
}

function throwDown(): never {
  throw new ServerDown();
}

/** `extra_data.preview_method`. */
function previewMethodOf({ extraData }: QueueItem): string {
  const method = extraData['preview_method'];
  return typeof method === 'string' && method !== 'default' ? method : 'none';
}

let painted: Promise<Buffer> | undefined;

/** The same small JPEG each time: what is in a preview does not matter. */
async function previewImage(): Promise<Buffer> {
  painted ??= paintPicture({ kind: 'sampled', text: 'preview', loras: [] }, { width: 64, height: 64 }).then((png) =>
    sharp(png).jpeg().toBuffer(),
  );
  return painted;
}

/** Seed and file prefix, for the statistics. */
function namesOf({ graph }: QueueItem): { seed: number | null; prefix: string | null } {
  const inputs = Object.values(graph).map((node) => node.inputs);
  const seed = inputs.map((input) => input['seed'] ?? input['noise_seed']).find((value) => typeof value === 'number');
  const prefix = inputs.map((input) => input['filename_prefix']).find((value) => typeof value === 'string');
  return { seed: seed ?? null, prefix: prefix ?? null };
}
