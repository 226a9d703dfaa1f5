import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { writeTornCheckpoint, type TrainingState } from './checkpoints.js';
import type { SimulatedConfig, SimulatedFault } from './config.js';
import { TrainerFault } from './events.js';

/** Counts the starts in this output folder, from 1, also those that ended badly. */
export async function countLaunch(config: SimulatedConfig): Promise<number> {
  await mkdir(config.output, { recursive: true });
  const path = join(config.output, 'simulated-launches.log');
  appendFileSync(path, `${new Date().toISOString()} ${process.pid}\n`);
  return readFileSync(path, 'utf8').split('\n').length - 1;
}

/** Makes the configured fault happen when its step is about to begin; does not return from most of them. */
export async function injectFault(config: SimulatedConfig, launch: number, state: TrainingState): Promise<void> {
  const fault = config.simulation.fault;
  if (fault === undefined || !isDue(fault, launch, state.step + 1)) return;
  switch (fault.kind) {
    case 'crash':
      throw new Error('simulated crash');
    case 'killed':
      process.kill(process.pid, 'SIGKILL');
      return forever();
    case 'torn-checkpoint':
      await writeTornCheckpoint(config, state);
      process.kill(process.pid, 'SIGKILL');
      return forever();
    case 'stall':
      return forever();
    case 'out-of-memory':
      throw new TrainerFault('out-of-memory', 'simulated: CUDA out of memory. Tried to allocate 2.00 GiB');
    case 'disk-full':
      throw new TrainerFault('disk-full', 'simulated: No space left on device');
    case 'diverge':
      throw new TrainerFault('diverged', `simulated: the loss of step ${state.step + 1} is NaN`);
    case 'ignore-sigterm-with-grandchild':
      process.on('SIGTERM', () => undefined);
      await spawnDeafGrandchild();
      return forever();
  }
}

/** Says so on stderr once neither of the two ends on SIGTERM any more. */
async function spawnDeafGrandchild(): Promise<void> {
  const code = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.stdout.write('deaf')";
  const grandchild = spawn(process.execPath, ['-e', code], { stdio: ['inherit', 'pipe', 'inherit'] });
  await once(grandchild.stdout, 'data');
  process.stderr.write(`simulated: ${process.pid} and its child ${grandchild.pid ?? 0} ignore SIGTERM\n`);
}

function isDue(fault: SimulatedFault, launch: number, step: number): boolean {
  if (step !== (fault.atStep ?? 1)) return false;
  if (fault.onlyOnLaunch !== undefined) return launch === fault.onlyOnLaunch;
  return fault.untilLaunch === undefined || launch <= fault.untilLaunch;
}

/** Alive, silent, and no step any more. */
function forever(): Promise<never> {
  return new Promise(() => setInterval(() => undefined, 60_000));
}
