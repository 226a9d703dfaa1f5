import { join } from 'node:path';

import { z } from 'zod';

import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';

/** `stage-faults.json`: faults of stages that were tried again, and conditions that they waited for; the run's report shows them. */
const stageFaultsSchema = z.array(
  z.object({
    at: z.iso.datetime(),
    stage: z.enum(['generate', 'tag', 'train', 'deliver']),
    /** Run id of the first execution of the workflow whose budget it counts for; a later one that goes on with the run has its own. */
    owner: z.string(),
    code: z.string(),
    message: z.string(),
  }),
);
export type StageFault = z.output<typeof stageFaultsSchema>[number];

/** @throws TowerError `FILE_INVALID` */
export async function readStageFaults(runDirectory: string): Promise<readonly StageFault[]> {
  return (await readJsonIfExists(fileIn(runDirectory), stageFaultsSchema)) ?? [];
}

/** Appends one. @throws TowerError `DISK_FULL` */
export async function recordStageFault(runDirectory: string, fault: StageFault): Promise<void> {
  await writeJsonDurable(fileIn(runDirectory), [...(await readStageFaults(runDirectory)), fault]);
}

function fileIn(runDirectory: string): string {
  return join(runDirectory, 'stage-faults.json');
}
