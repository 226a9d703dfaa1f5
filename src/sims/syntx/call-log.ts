import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { LandscapeCell } from './landscape.js';

/** One call that the simulated service handled. */
export interface SimulatedCall {
  /** ISO 8601 UTC. */
  readonly time: string;
  readonly path: string;
  /** As it was asked for; `null`: the service's default. */
  readonly mode: string | null;
  readonly prompt: string;
  /** `null` where nothing was scored. */
  readonly cell: LandscapeCell | null;
  /** What the answer scores with the original's parsers. */
  readonly total: number | null;
  readonly fault: string | null;
  /** Calls under way, this one included. */
  readonly concurrent: number;
  readonly simulated: true;
}

/** Appends calls to `<directory>/calls.jsonl` before they are answered. */
export class CallLog {
  readonly #directory: string;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.#directory = directory;
  }

  append(call: Omit<SimulatedCall, 'time' | 'simulated'>): void {
    const line: SimulatedCall = { time: new Date().toISOString(), ...call, simulated: true };
    appendFileSync(fileOf(this.#directory), `${JSON.stringify(line)}\n`);
  }
}

/** All calls of a service directory, also of a service in another process. */
export function readCalls(directory: string): SimulatedCall[] {
  const file = fileOf(directory);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as SimulatedCall);
}

function fileOf(directory: string): string {
  return join(directory, 'calls.jsonl');
}
