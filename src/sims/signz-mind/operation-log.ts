import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One request that the simulated server handled. */
export interface Operation {
  /** ISO 8601 UTC. */
  readonly time: string;
  readonly method: string;
  /** Route pattern, for example `/data/download_batch/{name}`. */
  readonly route: string;
  /** Batch or model version, where the route has one. */
  readonly name: string | null;
  /** Status that was decided, also when a fault kept it from being sent. */
  readonly status: number;
  /** Size of the stored upload or of the file sent. */
  readonly bytes: number;
  /** User of the key. */
  readonly user: string | null;
  /** The fault that was injected. */
  readonly fault: string | null;
  readonly simulated: true;
}

/** Appends operations to `<directory>/operations.jsonl`, one whole line per write, before the answer is sent. */
export class OperationLog {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  append(operation: Omit<Operation, 'time' | 'simulated'>): void {
    const line = { time: new Date().toISOString(), ...operation, simulated: true };
    appendFileSync(fileOf(this.#directory), `${JSON.stringify(line)}\n`);
  }
}

/** All operations of a server directory, also of a server in another process. */
export function readOperations(directory: string): Operation[] {
  const file = fileOf(directory);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Operation);
}

function fileOf(directory: string): string {
  return join(directory, 'operations.jsonl');
}
