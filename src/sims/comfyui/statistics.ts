/** One prompt that the renderer took up. Times are milliseconds since the server started. */
export interface RenderRecord {
  readonly promptId: string;
  readonly seed: number | null;
  readonly prefix: string | null;
  /** Nothing had to be computed. */
  readonly cached: boolean;
  readonly started: number;
  readonly ended: number;
  /** `lost`: a restart took it. */
  readonly outcome: 'success' | 'error' | 'interrupted' | 'lost';
  /** Paths below the output folder. */
  readonly files: readonly string[];
}

/** Time between the end of one prompt and the start of the next one. */
export interface IdleGap {
  readonly started: number;
  readonly ms: number;
}

export interface StatisticsReport {
  readonly simulated: true;
  /** Milliseconds since the server started. */
  readonly now: number;
  readonly restarts: number;
  /** Requests by route, those of `/sim` left out. */
  readonly requests: Readonly<Record<string, number>>;
  readonly requestTotal: number;
  readonly socketsOpened: number;
  /** Prompts that were accepted. */
  readonly accepted: number;
  /** In the order of their start. */
  readonly renders: readonly RenderRecord[];
  readonly idleGaps: readonly IdleGap[];
  /** The most prompts that waited at one time, the running one included. */
  readonly deepestQueue: number;
}

/** Counts what a server does, over its restarts in place. */
export class Statistics {
  restarts = 0;
  socketsOpened = 0;
  accepted = 0;
  deepestQueue = 0;
  readonly #start = performance.now();
  #requests: Record<string, number> = {};
  #renders: RenderRecord[] = [];
  #gaps: IdleGap[] = [];
  #lastEnd: number | undefined;

  now(): number {
    return performance.now() - this.#start;
  }

  countRequest(route: string): void {
    this.#requests[route] = (this.#requests[route] ?? 0) + 1;
  }

  /** @returns when it started */
  renderStarted(): number {
    const started = this.now();
    if (this.#lastEnd !== undefined) this.#gaps.push({ started: this.#lastEnd, ms: started - this.#lastEnd });
    this.#lastEnd = undefined;
    return started;
  }

  renderEnded(render: Omit<RenderRecord, 'ended'>): void {
    const ended = this.now();
    this.#renders.push({ ...render, ended });
    this.#lastEnd = ended;
  }

  /** Counts from here on. */
  reset(): void {
    this.restarts = 0;
    this.socketsOpened = 0;
    this.accepted = 0;
    this.deepestQueue = 0;
    this.#requests = {};
    this.#renders = [];
    this.#gaps = [];
    this.#lastEnd = undefined;
  }

  report(): StatisticsReport {
    return {
      simulated: true,
      now: this.now(),
      restarts: this.restarts,
      requests: { ...this.#requests },
      requestTotal: Object.values(this.#requests).reduce((sum, count) => sum + count, 0),
      socketsOpened: this.socketsOpened,
      accepted: this.accepted,
      renders: [...this.#renders],
      idleGaps: [...this.#gaps],
      deepestQueue: this.deepestQueue,
    };
  }
}
