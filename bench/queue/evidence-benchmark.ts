import { join } from 'node:path';

import { runSide } from '../run-side.js';
import type { SideResult } from '../side.js';
import { atMost, type Figure } from '../verdict.js';
import { addArchived, makeQueue } from './fill-queue.js';

export interface EvidenceVerdict {
  readonly benchmark: 'evidence';
  /** Archived jobs. */
  readonly size: number;
  readonly sides: readonly ({ readonly side: string } & SideResult)[];
  readonly figures: readonly Figure[];
  readonly ok: boolean;
}

const longestBlock = 100;
/** Seconds for 100,000 jobs; every command that shows what is learned takes so long. */
const warmLimit = 2;

/** Reading what was scored: every file by itself, by Tower for the first time, and by Tower again, each in a process of its own. */
export async function runEvidenceBenchmark(directory: string, jobs: number): Promise<EvidenceVerdict> {
  const queue = join(directory, 'queue');
  makeQueue(queue);
  for (let number = 0; number < jobs; number++) addArchived(queue, number);
  const sides: ({ readonly side: string } & SideResult)[] = [];
  for (const [side, name] of [
    ['every file', 'bare-evidence'],
    ['Tower, cold', 'tower-evidence'],
    ['Tower, warm', 'tower-evidence'],
  ] as const) {
    sides.push({ side, ...(await runSide(name, { directory: join(directory, 'side'), queue, jobs })) });
  }
  const warm = sides.at(-1);
  const figures = [
    atMost('read again', warm?.seconds ?? NaN, warmLimit, 's'),
    atMost('longest block of the event loop, read again', warm?.longestBlock ?? NaN, longestBlock, 'ms'),
  ];
  return { benchmark: 'evidence', size: jobs, sides, figures, ok: figures.every(({ ok }) => ok) };
}
