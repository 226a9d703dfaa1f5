/** One measured way of doing the same work; it runs in a process of its own. */
export interface Side {
  /** Everything that is not measured; what it returns is. */
  readonly prepare: (place: BenchPlace) => Promise<() => Promise<void>>;
}

/** What a side finds ready. */
export interface BenchPlace {
  /** Of this side alone, empty. */
  readonly directory: string;
  /** The file that is imported or uploaded; shared by all sides. */
  readonly file?: string;
  /** Of the server, when the benchmark has one. */
  readonly address?: string;
  readonly apiKey?: string;
  /** Images to render. */
  readonly images?: number;
  /** Queue directory of SYNTX, and how many scored jobs it has. */
  readonly queue?: string;
  readonly jobs?: number;
}

export interface SideResult {
  readonly seconds: number;
  /** Highest resident memory during the work above that before it, in bytes. */
  readonly memoryGrowth: number;
  /** Longest time for which the event loop of the process was held up, in milliseconds. */
  readonly longestBlock: number;
}
