import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandleWithFirstExecutionRunId,
} from '@temporalio/client';
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/common';

import { parseCharacterJob } from '../../character/job-file.js';
import { slugOf } from '../../character/names.js';
import { TowerError } from '../../errors.js';
import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import { towerQueue } from '../../temporal/task-queues.js';
import type { CharacterLoraInput, characterLora } from '../../workflows/character-lora.js';
import { characterWorkflowId } from '../../workflows/names.js';
import { newestVersion } from './character-id.js';

export type CharacterLoraHandle = WorkflowHandleWithFirstExecutionRunId<typeof characterLora>;

/**
 * Starts a run under the character's next free version; of two callers at the same time each gets its own.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID` with every fault, before anything is started.
 */
export async function startCharacterRun(client: Client, input: CharacterLoraInput): Promise<CharacterLoraHandle> {
  const { slug, summary } = subjectOf(input);
  for (let version = (await newestVersion(client, slug)) + 1; ; version += 1) {
    try {
      return await start(client, characterWorkflowId(slug, version), { input, summary });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}

/** Whose run it is: by the job, or by the earlier run that goes on. */
function subjectOf({ job, run }: CharacterLoraInput): { readonly slug: string; readonly summary: string } {
  if (job !== undefined || run === undefined) {
    const { name } = parseCharacterJob(job);
    return { slug: slugOf(name), summary: `Character LoRA of ${name}`.slice(0, 200) };
  }
  const [, slug] = /^character_(.+)_v\d+$/.exec(run) ?? [];
  if (slug !== undefined) return { slug, summary: `Character LoRA: ${run} goes on` };
  throw new TowerError('USAGE', `expected the id of a character run, found ${JSON.stringify(run)}`, {
    next: 'For example character_elara_v1; `tower character list --json` has it as "run".',
  });
}

function start(
  client: Client,
  workflowId: string,
  { input, summary }: { readonly input: CharacterLoraInput; readonly summary: string },
): Promise<CharacterLoraHandle> {
  return client.workflow.start<typeof characterLora>('characterLora', {
    taskQueue: towerQueue,
    workflowId,
    // An id names one run for good: what it has made carries it.
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
    staticSummary: summary,
    typedSearchAttributes: [{ key: towerSearchAttributes.loop, value: 'character' }],
    args: [input],
  });
}
