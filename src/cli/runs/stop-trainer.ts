import { join } from 'node:path';

import { TowerError } from '../../errors.js';
import { createLog } from '../../log/create-log.js';
import { livingLaunches } from '../../training/launch-record.js';
import { runDirectory } from '../../training/run-directory.js';
import { stopRun } from '../../training/stop-run.js';
import type { CommandContext } from '../command-context.js';
import { livingTrainers } from '../status/living-trainers.js';

/**
 * Ends a run's trainer without the server: for a training that goes on after `tower up` has ended. A cycle that still
 * waits for it ends with `RUN_STOPPED`; the next one goes on from the last complete state.
 *
 * @throws TowerError `NOT_FOUND` when no trainer of this run lives.
 */
export async function stopTrainer(run: string, context: CommandContext): Promise<void> {
  const { config, paths, output } = context;
  // Looked up among the living, so that a text from outside never becomes a path.
  const trainers = await livingTrainers(context);
  if (!trainers.some((trainer) => trainer.run === run)) {
    const names = trainers.map((trainer) => trainer.run).join(', ');
    throw new TowerError('NOT_FOUND', `no trainer of a run ${run} lives on this machine`, {
      next: names === '' ? 'No trainer runs here.' : `Running: ${names}.`,
    });
  }
  const log = createLog({ file: paths.logFile, level: config.log.level, role: 'cli' });
  const directory = join(paths.runs, run);
  const graceMs = config.gpu.stopGraceSeconds * 1_000;
  output.say(`stopping the trainer of ${run}; it gets ${config.gpu.stopGraceSeconds} s`);
  for (const { spec } of await livingLaunches(runDirectory(directory))) {
    const { generation } = spec;
    await stopRun({ directory, generation, reason: 'cancel', graceMs, python: config.gpu.python }, { log });
  }
  output.result(
    { run, stopped: true },
    `${run}: the trainer has ended. Its last complete state stays; ${nextOf(run)} goes on from it.`,
  );
}

function nextOf(run: string): string {
  return run.startsWith('character_') ? `\`tower character start --run ${run}\`` : 'the next cycle';
}
