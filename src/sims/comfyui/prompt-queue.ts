import type { Graph } from './graph.js';
import type { PromptFault } from './faults.js';
import type { SavedFile } from './node-class.js';

/** A job in the queue. */
export interface QueueItem {
  readonly number: number;
  readonly id: string;
  readonly graph: Graph;
  readonly extraData: Readonly<Record<string, unknown>>;
  readonly outputs: readonly string[];
  /** What is to go wrong with it. */
  readonly fault: PromptFault | undefined;
}

export type StatusMessage = readonly [event: string, data: Readonly<Record<string, unknown>>];

/** Output of one node as the history shows it: `images` for SaveImage and PreviewImage. */
export type NodeOutput = Readonly<Record<string, readonly SavedFile[]>>;

export interface HistoryEntry {
  readonly prompt: QueueItem;
  readonly outputs: Readonly<Record<string, NodeOutput>>;
  readonly status: {
    readonly status_str: 'success' | 'error';
    readonly completed: boolean;
    readonly messages: readonly StatusMessage[];
  };
  readonly meta: Readonly<Record<string, unknown>>;
}

const historyLimit = 10_000;

/** `[number, prompt_id, graph, extra_data, output node ids]` (contract comfyui 3). */
export function queueTuple({ number, id, graph, extraData, outputs }: QueueItem): unknown[] {
  return [number, id, graph, extraData, outputs];
}

/** Queue, running job and history of a server; all in memory only. */
export class PromptQueue {
  readonly history = new Map<string, HistoryEntry>();
  #heap: QueueItem[] = [];
  #running: QueueItem | undefined;

  get running(): QueueItem | undefined {
    return this.#running;
  }

  /** In the order of the heap, not in that of running. */
  get pending(): readonly QueueItem[] {
    return this.#heap;
  }

  get remaining(): number {
    return this.#heap.length + (this.#running === undefined ? 0 : 1);
  }

  /** @throws TypeError when another job with the same number and id waits: the real heap then compares graphs. */
  put(item: QueueItem): void {
    const heap = this.#heap;
    heap.push(item);
    let at = heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap, at, parent)) break;
      swap(heap, at, parent);
      at = parent;
    }
  }

  /** Takes the next job as the running one. */
  take(): QueueItem | undefined {
    this.#running = this.#pop();
    return this.#running;
  }

  /** Ends the running job. */
  done(entry: HistoryEntry): void {
    this.#running = undefined;
    if (this.history.size >= historyLimit) {
      for (const [oldest] of this.history) {
        this.history.delete(oldest);
        break;
      }
    }
    this.history.set(entry.prompt.id, entry);
  }

  /** Drops the running job without a trace. */
  forgetRunning(): void {
    this.#running = undefined;
  }

  clear(): void {
    this.#heap = [];
  }

  /** Removes the first waiting job with this id. */
  delete(id: string): boolean {
    const at = this.#heap.findIndex((item) => item.id === id);
    if (at === -1) return false;
    const rest = this.#heap.filter((_, index) => index !== at);
    this.#heap = [];
    for (const item of rest) this.put(item);
    return true;
  }

  /** Jobs oldest first; without offset the newest ones (contract comfyui 4). */
  historyPage(maximum: number | undefined, offset: number): HistoryEntry[] {
    const all = [...this.history.values()];
    const from = offset < 0 && maximum !== undefined ? Math.max(0, all.length - maximum) : Math.max(0, offset);
    return all.slice(from, maximum === undefined ? undefined : from + maximum);
  }

  #pop(): QueueItem | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap, child, least)) least = child;
      }
      if (least === at) return first;
      swap(heap, at, least);
      at = least;
    }
  }
}

function isBefore(heap: readonly QueueItem[], a: number, b: number): boolean {
  const [first, second] = [heap[a], heap[b]];
  if (first === undefined || second === undefined) return false;
  if (first.number !== second.number) return first.number < second.number;
  if (first.id === second.id) throw new TypeError("'<' not supported between instances of 'dict' and 'dict'");
  return first.id < second.id;
}

function swap(heap: QueueItem[], a: number, b: number): void {
  const [first, second] = [heap[a], heap[b]];
  if (first === undefined || second === undefined) return;
  heap[a] = second;
  heap[b] = first;
}
