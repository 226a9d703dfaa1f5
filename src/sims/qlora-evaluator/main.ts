import { qloraExitCodes } from '../../qlora/classify-exit.js';
import { emit, TrainerFault } from '../qlora-trainer/events.js';
import { readConfig, readWishes } from './config.js';
import { simulateEvaluation } from './evaluate.js';

/** `node main.js <config.json>`: the simulated twin of `python -m qlora.evaluate`. */
async function main(): Promise<number> {
  try {
    await simulateEvaluation(readConfig(process.argv[2]), readWishes(process.env['TOWER_SIMULATED_EVALUATION']));
    return qloraExitCodes.done;
  } catch (error) {
    const fault = error instanceof TrainerFault ? error : undefined;
    process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    emit({ event: 'error', class: fault?.faultClass ?? 'internal', message: (error as Error).message });
    return fault?.exitCode ?? qloraExitCodes.internal;
  }
}

process.exit(await main());
