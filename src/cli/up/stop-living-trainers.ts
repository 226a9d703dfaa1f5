import { join } from 'node:path';

import type { Log } from '../../log/logger.js';
import { nextGeneration } from '../../training/stop-intent.js';
import { runDirectory } from '../../training/run-directory.js';
import { stopRun } from '../../training/stop-run.js';
import type { CommandContext } from '../command-context.js';
import { livingTrainers } from '../status/living-trainers.js';

/** Ends every trainer of this state directory, which outlives its worker otherwise. For a Tower that does not come back. */
export async function stopLivingTrainers(
  { config, paths }: Pick<CommandContext, 'config' | 'paths'>,
  { log }: { readonly log: Log },
): Promise<void> {
  const { python, stopGraceSeconds } = config.gpu;
  for (const { run } of await livingTrainers({ paths })) {
    const directory = join(paths.runs, run);
    const generation = await nextGeneration(runDirectory(directory));
    await stopRun({ directory, generation, reason: 'cancel', graceMs: stopGraceSeconds * 1000, python }, { log });
  }
}
