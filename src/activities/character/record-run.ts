import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import type { CharacterRun } from '../../character/character-run.js';
import { readDelivery } from '../../character/publish.js';
import { writeSidecar } from '../../character/sidecar.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { packageRoot } from '../../files/package-root.js';
import { runDirectory } from '../../training/run-directory.js';
import { readSettled } from '../../training/settle.js';
import type { CharacterEnd } from './interfaces.js';
import { readServerRecord } from './server-record.js';

/** Writes how a run ended, and for a LoRA that was published everything it was made from. Repeatable. */
export async function recordRun(run: CharacterRun, end: CharacterEnd): Promise<void> {
  const { directory, delivery, outcome } = run.paths;
  const succeeded = end.outcome === 'succeeded' || end.outcome === 'simulated';
  await writeJsonDurable(outcome, { ...end, endedAt: new Date().toISOString() });
  if (!succeeded || (await readDelivery(delivery)) === undefined) return;
  const server = await readServerRecord(directory);
  const settled = await readSettled(runDirectory(directory));
  await writeSidecar(run, {
    towerVersion: await towerVersion(),
    comfyui: server === undefined ? null : { version: server.version, simulated: server.simulated },
    trainer: { driver: settled?.driver ?? null },
    simulated: end.outcome === 'simulated',
  });
}

async function towerVersion(): Promise<string> {
  const text = await readFile(join(packageRoot, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}
