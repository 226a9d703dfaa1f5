import { writeSync } from 'node:fs';

import { readArguments } from './command-line.js';
import { flush, PythonError, PythonExit, traceback } from './console.js';
import { readSimulation } from './simulation.js';
import { simulateTraining } from './train.js';

/** `node main.js <script> --config_file <toml> --dataset_config <toml> …`: the stand-in for the training scripts of sd-scripts. */
async function main(): Promise<number> {
  const [script = '', ...words] = process.argv.slice(2);
  try {
    await simulateTraining(script, readArguments(words), readSimulation(process.env));
    return 0;
  } catch (error) {
    if (error instanceof PythonExit) {
      if (error.message !== '') writeSync(2, `usage: ${script} [options]\n${script}: ${error.message}\n`);
      return error.code;
    }
    const known = error instanceof PythonError ? error : new PythonError('RuntimeError', String(error));
    traceback(known);
    return 1;
  } finally {
    flush();
  }
}

process.exit(await main());
