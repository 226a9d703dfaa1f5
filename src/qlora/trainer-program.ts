import { join } from 'node:path';

import { packageRoot } from '../files/package-root.js';
import { allocatorEnvironment } from '../gpu/allocator-environment.js';
import type { TrainerCommand } from '../training/trainer-driver.js';

/** How programs of `trainers/qlora` are run: training and evaluation alike. */
export function trainerProgram(python: string, module: string): TrainerCommand {
  const trainers = join(packageRoot, 'trainers');
  return {
    argv: [python, '-m', module],
    workingDirectory: trainers,
    environment: {
      PYTHONPATH: trainers,
      PYTHONUNBUFFERED: '1',
      TOKENIZERS_PARALLELISM: 'false',
      HF_HUB_DISABLE_TELEMETRY: '1',
      ...allocatorEnvironment(),
    },
  };
}

/** How their simulated twins are run. The value of the variable `switches` is handed on: it asks for faults and the like. */
export function simulatedProgram(folder: string, switches: string): TrainerCommand {
  const value = process.env[switches];
  return {
    argv: [process.execPath, join(packageRoot, 'dist', 'sims', folder, 'main.js')],
    workingDirectory: packageRoot,
    environment: value === undefined ? {} : { [switches]: value },
  };
}
