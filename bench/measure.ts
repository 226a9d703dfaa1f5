import { readFileSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { SideResult } from './side.js';

const resolutionMs = 10;

/** Runs the work once and measures this process meanwhile. */
export async function measure(work: () => Promise<void>): Promise<SideResult> {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  const before = residentMemory('VmRSS');
  // Linux forgets the highest value so far: what is read below belongs to the work alone.
  writeFileSync('/proc/self/clear_refs', '5');
  delay.enable();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  delay.disable();
  return {
    seconds,
    memoryGrowth: Math.max(0, residentMemory('VmHWM') - before),
    longestBlock: Math.max(0, delay.max / 1e6 - resolutionMs),
  };
}

/** Bytes; `VmRSS` is the value now, `VmHWM` the highest since it was reset. */
function residentMemory(field: 'VmRSS' | 'VmHWM'): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/self/status has no ${field}: the benchmarks need Linux`);
  return Number(kibibytes) * 1024;
}
