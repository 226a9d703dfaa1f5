import { isDeepStrictEqual } from 'node:util';

import { z } from 'zod';

import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { RunDirectory } from './run-directory.js';

/** `owner.json`: the workflow execution that a run belongs to now. A later cycle that goes on with the run takes it over. */
const runOwnerSchema = z.object({
  workflowId: z.string(),
  workflowRunId: z.string(),
  /** Run id of the workflow's first execution; a workflow id comes again after the database was deleted. */
  firstRunId: z.string().optional(),
});

export type RunOwner = z.output<typeof runOwnerSchema>;

export async function readRunOwner(run: RunDirectory): Promise<RunOwner | undefined> {
  return await readJsonIfExists(run.owner, runOwnerSchema);
}

/** Takes a run over; durable before it returns. */
export async function writeRunOwner(run: RunDirectory, owner: RunOwner): Promise<void> {
  const known = await readRunOwner(run);
  const { workflowId, workflowRunId } = owner;
  const isKnown = known?.workflowId === workflowId && known.workflowRunId === workflowRunId;
  // Whoever takes the run over knows the first execution; its trainings do not.
  const record = runOwnerSchema.parse({ ...(isKnown && known), ...owner });
  if (!isDeepStrictEqual(known, record)) await writeJsonDurable(run.owner, record);
}
