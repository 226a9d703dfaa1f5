import { basename, join } from 'node:path';

import { z } from 'zod';

import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { CharacterRun } from './character-run.js';

/** Which ComfyUI has made a run's images; `comfyui.json` in the run folder. */
const comfyuiRecordSchema = z.object({
  version: z.string(),
  /** Some image came from a simulated server, whatever made the others. */
  simulated: z.boolean(),
  devices: z.array(z.string()).default([]),
});
export type ComfyuiRecord = z.output<typeof comfyuiRecordSchema>;

/** What a ComfyUI says of itself. */
interface ComfyuiFacts {
  readonly version: string;
  readonly simulated: boolean;
  readonly devices: readonly string[];
}

/** @returns `undefined` while nothing was rendered. @throws TowerError `FILE_INVALID` */
export async function readComfyuiRecord(runDirectory: string): Promise<ComfyuiRecord | undefined> {
  return readJsonIfExists(fileIn(runDirectory), comfyuiRecordSchema);
}

/** Records the ComfyUI of a turn; once simulated, a run stays so. */
export async function recordComfyui(runDirectory: string, facts: ComfyuiFacts): Promise<ComfyuiRecord> {
  const earlier = await readComfyuiRecord(runDirectory);
  const record: ComfyuiRecord = {
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
): Promise<ComfyuiRecord | undefined> {
  const mark = await readJsonIfExists(dataset.mark, z.looseObject({ run: z.string() }));
  if (mark === undefined || mark.run === reservation.run || basename(mark.run) !== mark.run) return undefined;
  return readComfyuiRecord(join(runsDirectory, mark.run));
}

function fileIn(runDirectory: string): string {
  return join(runDirectory, 'comfyui.json');
}
