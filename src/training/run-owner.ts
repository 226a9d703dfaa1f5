import { z } from 'zod';

import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { RunDirectory } from './run-directory.js';

/** `owner.json`: the workflow execution that a run belongs to now. A later cycle that goes on with the run takes it over. */
const runOwnerSchema = z.object({ workflowId: z.string(), workflowRunId: z.string() });

export type RunOwner = z.output<typeof runOwnerSchema>;

export async function readRunOwner(run: RunDirectory): Promise<RunOwner | undefined> {
  return await readJsonIfExists(run.owner, runOwnerSchema);
}

/** Takes a run over; durable before it returns. */
export async function writeRunOwner(run: RunDirectory, owner: RunOwner): Promise<void> {
  const known = await readRunOwner(run);
  if (known?.workflowId === owner.workflowId && known.workflowRunId === owner.workflowRunId) return;
  await writeJsonDurable(run.owner, { workflowId: owner.workflowId, workflowRunId: owner.workflowRunId });
}
