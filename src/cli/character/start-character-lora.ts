import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandleWithFirstExecutionRunId,
} from '@temporalio/client';
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/common';

import { parseCharacterJob } from '../../character/job-file.js';
import type { CharacterJob } from '../../character/job.js';
import { slugOf } from '../../character/names.js';
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
  const job = parseCharacterJob(input.job);
  const slug = slugOf(job.name);
  for (let version = (await newestVersion(client, slug)) + 1; ; version += 1) {
    try {
      return await start(client, characterWorkflowId(slug, version), { input, job });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}

function start(
  client: Client,
  workflowId: string,
  { input, job }: { readonly input: CharacterLoraInput; readonly job: CharacterJob },
): Promise<CharacterLoraHandle> {
  return client.workflow.start<typeof characterLora>('characterLora', {
    taskQueue: towerQueue,
    workflowId,
    // An id names one run for good: what it has made carries it.
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
    staticSummary: `Character LoRA of ${job.name}`.slice(0, 200),
    typedSearchAttributes: [{ key: towerSearchAttributes.loop, value: 'character' }],
    args: [input],
  });
}
