import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import type { CharacterRun } from '../../character/character-run.js';
import { readDelivery } from '../../character/publish.js';
import { writeSidecar } from '../../character/sidecar.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { exists } from '../../files/exists.js';
import { packageRoot } from '../../files/package-root.js';
import { runDirectory } from '../../training/run-directory.js';
import { readSettled } from '../../training/settle.js';
import type { CharacterEnd } from './interfaces.js';
import { readComfyuiRecord } from '../../character/comfyui-record.js';

/**
 * Writes how a run ended, and for a LoRA that was published everything it was made from, also when the run failed after that:
 * whoever finds the LoRA can see that nothing proves it. Repeatable.
 */
export async function recordRun(run: CharacterRun, end: CharacterEnd): Promise<void> {
  const { directory, delivery, outcome } = run.paths;
  await writeJsonDurable(outcome, { ...end, endedAt: new Date().toISOString() });
  const delivered = await readDelivery(delivery);
  if (delivered === undefined) return;
  const succeeded = end.outcome === 'succeeded' || end.outcome === 'simulated';
  // Somebody has taken it away already.
  if (!succeeded && !(await exists(delivered.path))) return;
  const server = await readComfyuiRecord(directory);
  const settled = await readSettled(runDirectory(directory));
  await writeSidecar(run, {
    towerVersion: await towerVersion(),
    comfyui: server === undefined ? null : { version: server.version, simulated: server.simulated },
    trainer: { driver: settled?.driver ?? null },
    simulated: end.outcome === 'simulated' || delivered.simulated,
    end,
  });
}

async function towerVersion(): Promise<string> {
  const text = await readFile(join(packageRoot, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}
