import { basename, join } from 'node:path';

import { z } from 'zod';

import type { CharacterRun } from '../../character/character-run.js';
import type { ServerFacts } from '../../comfyui/client.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';

/** Which ComfyUI has made a run's images; `comfyui.json` in the run folder. */
const serverRecordSchema = z.object({
  version: z.string(),
  /** Some image came from a simulated server, whatever made the others. */
  simulated: z.boolean(),
  devices: z.array(z.string()),
});
export type ServerRecord = z.output<typeof serverRecordSchema>;

/** @returns `undefined` while nothing was rendered. */
export async function readServerRecord(runDirectory: string): Promise<ServerRecord | undefined> {
  return readJsonIfExists(fileIn(runDirectory), serverRecordSchema);
}

/** Records the server of a turn; once simulated, a run stays so. */
export async function recordServer(runDirectory: string, facts: ServerFacts): Promise<ServerRecord> {
  const earlier = await readServerRecord(runDirectory);
  const record: ServerRecord = {
    version: facts.version,
    simulated: facts.simulated || (earlier?.simulated ?? false),
    devices: [...facts.devices],
  };
  if (JSON.stringify(earlier) !== JSON.stringify(record)) await writeJsonDurable(fileIn(runDirectory), record);
  return record;
}

/** Which ComfyUI has made the images of a dataset that is there, where a run of this machine has made it. */
export async function makerOfDataset(
  { dataset, reservation }: CharacterRun,
  runsDirectory: string,
): Promise<ServerRecord | undefined> {
  const mark = await readJsonIfExists(dataset.mark, z.looseObject({ run: z.string() }));
  if (mark === undefined || mark.run === reservation.run || basename(mark.run) !== mark.run) return undefined;
  return readServerRecord(join(runsDirectory, mark.run));
}

function fileIn(runDirectory: string): string {
  return join(runDirectory, 'comfyui.json');
}
