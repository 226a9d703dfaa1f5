import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { PythonError } from './console.js';
import type { SdScriptsFault, SdScriptsSimulation } from './simulation.js';

/** Counts the starts in the folder above the output folder, from 1, also those that ended badly. */
export function countLaunch(outputDirectory: string): number {
  const folder = dirname(outputDirectory);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'simulated-launches.log');
  appendFileSync(path, `${new Date().toISOString()} ${process.pid}\n`);
  return readFileSync(path, 'utf8').split('\n').length - 1;
}

/** The fault of this launch, if one is ordered for it. */
export function faultOfLaunch({ fault }: SdScriptsSimulation, launch: number): SdScriptsFault | undefined {
  if (fault?.onlyOnLaunch !== undefined) return launch === fault.onlyOnLaunch ? fault : undefined;
  return fault?.untilLaunch === undefined || launch <= fault.untilLaunch ? fault : undefined;
}

/** Makes the fault happen when its step is about to begin; does not return from most of them. */
export async function injectFault(fault: SdScriptsFault | undefined, step: number): Promise<void> {
  if (fault === undefined || step !== (fault.atStep ?? 1)) return;
  switch (fault.kind) {
    case 'crash':
      throw new PythonError('RuntimeError', 'simulated crash');
    case 'killed':
      process.kill(process.pid, 'SIGKILL');
      return await forever();
    case 'stall':
      return await forever();
    case 'out-of-memory':
      throw new PythonError(
        'torch.OutOfMemoryError',
        'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB (simulated)',
      );
    case 'disk-full':
      throw new PythonError('OSError', '[Errno 28] No space left on device (simulated)');
    case 'torn-state':
    case 'nan':
    case 'zero-lora':
    case 'no-images':
    case 'fail-after-save':
  }
}

/** Alive, silent, and no step any more. */
function forever(): Promise<never> {
  return new Promise(() => setInterval(() => undefined, 60_000));
}
