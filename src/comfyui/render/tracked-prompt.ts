import type { NodeOutputs } from '../answers.js';
import type { ComfyuiEvent } from '../events.js';
import type { Graph } from '../graph.js';
import type { PromptEnd } from './outcome.js';

type PromptEvent = Exclude<ComfyuiEvent, { type: 'status' }>;

/** One prompt from its submit to its end, as its messages tell. Times are of the monotonic clock, in milliseconds. */
export class TrackedPrompt {
  readonly promptId: string;
  readonly key: string;
  readonly graph: Graph;
  /** Under which its messages come; `undefined` when they come to nobody. */
  clientId: string | undefined;
  /** ComfyUI has said that it took it. */
  accepted = false;
  submittedAt = performance.now();
  startedAt: number | undefined;
  /** When a message said how it ended. */
  concludedAt: number | undefined;
  /** A message said that it has ended and is in the history. */
  ended = false;
  /** When ComfyUI was last asked about it. */
  lookedAt = Number.NEGATIVE_INFINITY;
  /** Something says that it may be gone. */
  suspected = false;
  /** Taken out of the queue by ourselves. */
  withdrawn = false;
  #succeeded = false;
  #outputs: NodeOutputs = {};
  #cachedNodes = 0;
  #wake: (() => void) | undefined;

  constructor(prompt: { readonly promptId: string; readonly key: string; readonly graph: Graph }) {
    this.promptId = prompt.promptId;
    this.key = prompt.key;
    this.graph = prompt.graph;
  }

  get nodeCount(): number {
    return Object.keys(this.graph).length;
  }

  /** An earlier process has submitted it: nobody tells us about it. */
  adopt(): void {
    this.accepted = true;
    this.clientId = undefined;
  }

  /** Its end by its messages alone; `undefined` while there is none, or when they do not say enough. */
  get success(): PromptEnd | undefined {
    const hasImage = Object.values(this.#outputs).some(({ images = [] }) => images.length > 0);
    if (!this.#succeeded || !hasImage) return undefined;
    const { startedAt, concludedAt } = this;
    const renderMs = startedAt === undefined || concludedAt === undefined ? undefined : concludedAt - startedAt;
    const cached = this.#cachedNodes >= this.nodeCount;
    return { kind: 'succeeded', outputs: this.#outputs, cached, renderMs, confirmed: false };
  }

  apply(event: PromptEvent): void {
    switch (event.type) {
      case 'execution_start':
        this.startedAt ??= performance.now();
        break;
      case 'execution_cached':
        this.#cachedNodes = event.data.nodes.length;
        break;
      case 'executed':
        if (event.data.output != null) this.#outputs = { ...this.#outputs, [event.data.node]: event.data.output };
        break;
      case 'execution_success':
        this.#succeeded = true;
        this.concludedAt = performance.now();
        break;
      case 'execution_error':
      case 'execution_interrupted':
        this.concludedAt = performance.now();
        break;
      case 'executing':
        this.ended ||= event.data.node === null;
        break;
      case 'progress':
      case 'progress_state':
        return;
    }
    this.wake();
  }

  /** Has {@link news} return. */
  wake(): void {
    this.#wake?.();
  }

  /** Returns at the next news, or after the time. @throws the signal's reason */
  async news(limitMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        this.#wake = undefined;
        resolve();
      };
      const abort = () => {
        done();
        reject(signal.reason as Error);
      };
      const timer = setTimeout(done, limitMs);
      signal.addEventListener('abort', abort);
      this.#wake = done;
    });
  }
}
