import type { Moment } from './faults.js';
import { ServerDown } from './server-down.js';
import { ExecutionFailure, inputsOf, shownInputs } from './execution-failure.js';
import { nodeSignatures, type CachedNode, type ExecutionCache } from './execution-cache.js';
import { linkOf } from './graph.js';
import { LoraCopies } from './lora-copies.js';
import { nodeClasses } from './node-classes.js';
import { InterruptedError, NodeError, type ListedFolders, type NodeContext, type NodeValue } from './node-class.js';
import { paintPicture, type PictureRecipe, type PictureSize } from './picture.js';
import { asciiJson } from './png-text.js';
import { ProgressReport } from './progress-report.js';
import type { HistoryEntry, NodeOutput, QueueItem, StatusMessage } from './prompt-queue.js';
import type { Settings } from './settings.js';

/** Longest time that a timer takes. */
const forever = 2 ** 31 - 1;

/** What the executor needs of the server around it. */
export interface ExecutorHost extends ListedFolders {
  readonly outputDirectory: string;
  readonly temporaryDirectory: string;
  readonly settings: Settings;
  /** Sends to the prompt's client; to all when it has none and `broadcast` is set. */
  readonly send: (item: QueueItem, event: string, data: object, broadcast: boolean) => void;
  readonly preview: (item: QueueItem, node: string) => Promise<void>;
  readonly modelLoaded: () => void;
  readonly unloadModels: () => void;
  /** Rejects when the server goes down meanwhile. */
  readonly wait: (ms: number) => Promise<void>;
  /** A prompt has come to a moment at which the server may be told to go down. */
  readonly moment: (item: QueueItem, moment: Moment) => void;
}

export interface Execution {
  readonly entry: HistoryEntry;
  readonly outcome: 'success' | 'error' | 'interrupted';
  readonly cached: boolean;
}

/** Runs prompts one after the other, and keeps the results of the last one (contract comfyui 6 and 8). */
export class PromptExecutor {
  readonly #host: ExecutorHost;
  readonly #loras = new LoraCopies();
  #cache: ExecutionCache = new Map();
  #lastSaved: PictureRecipe | undefined;
  #interrupted = false;
  /** The node that runs, for a client that connects again. */
  lastNode: string | null = null;

  constructor(host: ExecutorHost) {
    this.#host = host;
  }

  interrupt(): void {
    this.#interrupted = true;
  }

  /** What `free_memory` drops: results, and the loaders' own copies. */
  dropCaches(): void {
    this.#cache = new Map();
    this.#loras.clear();
  }

  async execute(item: QueueItem): Promise<Execution> {
    this.#interrupted = false;
    const run = new Run(item, this.#host);
    run.message('execution_start', {});
    this.#host.moment(item, 'at-start');
    if (!this.#host.settings.cache) this.dropCaches();
    const signatures = nodeSignatures(item.graph, this.#host);
    const kept = new Set(signatures.values());
    for (const key of this.#cache.keys()) if (!kept.has(key)) this.#cache.delete(key);
    this.#loras.keepOnly(Object.keys(item.graph));
    const cached = Object.keys(item.graph).filter((node) => this.#cache.has(signatures.get(node) ?? ''));
    run.message('execution_cached', { nodes: cached });
    const isCached = item.outputs.every((node) => cached.includes(node));
    let outcome: Execution['outcome'] = 'success';
    try {
      for (const node of item.outputs) await this.#node(node, run, signatures);
      run.message('execution_success', {});
    } catch (error) {
      if (!(error instanceof ExecutionFailure)) throw error;
      outcome = error.interrupted ? 'interrupted' : 'error';
      const event = outcome === 'interrupted' ? 'execution_interrupted' : 'execution_error';
      run.message(event, error.data(run.executed, Object.keys(item.graph)));
      if (error.outOfMemory) this.#host.unloadModels();
    }
    this.lastNode = null;
    return { entry: this.#historyEntry(run, signatures, outcome === 'success'), outcome, cached: isCached };
  }

  async #node(node: string, run: Run, signatures: ReadonlyMap<string, string>): Promise<CachedNode> {
    const { item } = run;
    const signature = signatures.get(node) ?? '';
    const known = this.#cache.get(signature);
    if (known !== undefined) {
      if (item.outputs.includes(node)) {
        run.send('executed', { node, display_node: node, output: known.output ?? null, prompt_id: item.id });
        run.progress.finish(node);
      }
      return known;
    }
    const entry = item.graph[node];
    const declared = nodeClasses.get(entry?.class_type ?? '');
    if (entry === undefined || declared === undefined) throw new Error(`node ${node} was not validated`);
    const values = new Map<string, NodeValue | undefined>();
    for (const [name, value] of Object.entries(entry.inputs)) {
      const link = linkOf(value);
      if (link === undefined || !(name in { ...declared.required, ...declared.optional })) continue;
      values.set(name, (await this.#node(link[0], run, signatures)).values[link[1]]);
    }
    run.progress.start(node);
    this.lastNode = node;
    run.send('executing', { node, display_node: node, prompt_id: item.id });
    const inputs = inputsOf(entry.inputs, values);
    try {
      this.#throwIfInterrupted();
      if (declared.isOutput) {
        await this.#faultPoint(run);
        this.#host.moment(item, 'before-save');
      }
      const result = await declared.execute(inputs, this.#context(node, run));
      if (declared.isOutput) this.#host.moment(item, 'after-save');
      const done: CachedNode = {
        values: result.outputs,
        output: result.ui === undefined ? undefined : { images: result.ui.images },
      };
      if (done.output !== undefined) {
        run.send('executed', { node, display_node: node, output: done.output, prompt_id: item.id });
      }
      run.progress.finish(node);
      run.executed.push(node);
      this.#cache.set(signature, done);
      return done;
    } catch (error) {
      if (error instanceof ServerDown) throw error;
      const about = { node, type: declared.name, inputs: shownInputs(entry.inputs, values) };
      throw new ExecutionFailure(about, error instanceof InterruptedError ? error : asNodeError(error));
    }
  }

  #context(node: string, run: Run): NodeContext {
    const { item } = run;
    const host = this.#host;
    const { fault } = item;
    return {
      models: host.models,
      inputFiles: host.inputFiles,
      inputPath: host.inputPath,
      outputDirectory: host.outputDirectory,
      temporaryDirectory: host.temporaryDirectory,
      texts: textChunksOf(item, host.settings),
      renderMs: fault?.kind === 'slow' ? fault.renderMs : host.settings.renderMs,
      wait: host.wait,
      step: async (value, max) => {
        this.#throwIfInterrupted();
        if (value === Math.ceil(max / 2)) {
          await this.#faultPoint(run);
          host.moment(item, 'in-step');
        }
        run.progress.step(node, { value, max });
        run.send('progress', { value, max, prompt_id: item.id, node }, true);
        if (fault?.kind !== 'unseen') await host.preview(item, node);
      },
      paint: run.paint,
      loraContent: (path) => this.#loras.content(node, path),
      modelLoaded: host.modelLoaded,
      outputFault: fault?.kind === 'output' ? fault.output : undefined,
      lastSaved: this.#lastSaved,
      saved: (recipe) => {
        this.#lastSaved = recipe;
      },
    };
  }

  #throwIfInterrupted(): void {
    if (!this.#interrupted) return;
    this.#interrupted = false;
    throw new InterruptedError();
  }

  /** Where a prompt that is to fail does so: in the middle of sampling, at the latest before it saves. */
  async #faultPoint({ item: { fault } }: Run): Promise<void> {
    if (fault?.kind === 'error') throw new NodeError(fault.exceptionType, fault.message);
    if (fault?.kind === 'out-of-memory') {
      throw new NodeError('torch.OutOfMemoryError', 'Allocation on device 0 failed (simulated)');
    }
    if (fault?.kind === 'interrupted') throw new InterruptedError();
    if (fault?.kind === 'stuck') await this.#host.wait(forever);
  }

  #historyEntry(run: Run, signatures: ReadonlyMap<string, string>, success: boolean): HistoryEntry {
    const outputs: Record<string, NodeOutput> = {};
    const meta: Record<string, unknown> = {};
    for (const node of Object.keys(run.item.graph)) {
      const output = this.#cache.get(signatures.get(node) ?? '')?.output;
      if (output === undefined) continue;
      outputs[node] = output;
      meta[node] = { node_id: node, display_node: node, parent_node: null, real_node_id: node };
    }
    const status_str = success ? 'success' : 'error';
    return { prompt: run.item, outputs, meta, status: { status_str, completed: success, messages: run.messages } };
  }
}

/** What belongs to one run of one prompt. */
class Run {
  readonly item: QueueItem;
  readonly messages: StatusMessage[] = [];
  /** Nodes that ran, in their order. */
  readonly executed: string[] = [];
  readonly progress: ProgressReport;
  readonly #painted = new Map<string, Promise<Buffer>>();
  readonly #host: ExecutorHost;

  constructor(item: QueueItem, host: ExecutorHost) {
    this.item = item;
    this.#host = host;
    this.progress = new ProgressReport(item.id, (data) => {
      this.send('progress_state', data, true);
    });
  }

  readonly paint = (recipe: PictureRecipe, size: PictureSize): Promise<Buffer> => {
    const key = JSON.stringify([recipe, size]);
    const known = this.#painted.get(key) ?? paintPicture(recipe, size);
    this.#painted.set(key, known);
    return known;
  };

  send(event: string, data: object, broadcast = false): void {
    if (this.item.fault?.kind !== 'unseen') this.#host.send(this.item, event, data, broadcast);
  }

  /** Keeps a message for the history and sends it. */
  message(event: string, data: object): void {
    const whole = { prompt_id: this.item.id, ...data, timestamp: Date.now() };
    this.messages.push([event, whole]);
    this.send(event, whole, event === 'execution_interrupted');
  }
}

function asNodeError(error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new NodeError(code === undefined ? 'RuntimeError' : 'OSError', `${message} (simulated)`);
}

function textChunksOf({ graph, extraData }: QueueItem, { metadata }: Settings): Record<string, string> {
  const texts: Record<string, string> = { simulated: 'true' };
  if (!metadata) return texts;
  texts['prompt'] = asciiJson(graph);
  const own = extraData['extra_pnginfo'];
  if (typeof own !== 'object' || own === null) return texts;
  for (const [key, value] of Object.entries(own)) texts[key] = asciiJson(value);
  return texts;
}
