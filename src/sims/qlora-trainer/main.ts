import { qloraExitCodes } from '../../qlora/classify-exit.js';
import { readCommandLine } from './config.js';
import { emit, TrainerFault } from './events.js';
import { simulateTraining } from './train.js';

/** `node main.js <config.json> [--resume-from <folder>] [--set name=<json>]…`: the simulated twin of `python -m qlora.train`. */
async function main(): Promise<number> {
  const stop = new AbortController();
  process.on('SIGUSR1', () => {
    stop.abort();
  });
  try {
    const stopped = await simulateTraining(readCommandLine(process.argv.slice(2)), stop.signal);
    return stopped ? qloraExitCodes.stopped : qloraExitCodes.done;
  } catch (error) {
    const fault = error instanceof TrainerFault ? error : undefined;
    process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    emit({ event: 'error', class: fault?.faultClass ?? 'internal', message: (error as Error).message });
    return fault?.exitCode ?? qloraExitCodes.internal;
  }
}

process.exit(await main());
