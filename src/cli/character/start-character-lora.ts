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
import { hostOfRun, newestVersion } from './character-id.js';

export type CharacterLoraHandle = WorkflowHandleWithFirstExecutionRunId<typeof characterLora>;

/**
 * Starts a run under the character's next free version; of two callers at the same time each gets its own. An earlier run goes on
 * on the host that has its files, unless another one is named.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID` with every fault, before anything is started.
 */
export async function startCharacterRun(client: Client, given: CharacterLoraInput): Promise<CharacterLoraHandle> {
  const { slug, ...about } = subjectOf(given);
  const input = await inputOf(client, given);
  for (let version = (await newestVersion(client, slug)) + 1; ; version += 1) {
    try {
      return await start(client, characterWorkflowId(slug, version), { input, ...about });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}

/** The files of an earlier run are on its host; naming another one moves it. */
async function inputOf(client: Client, { job, run, host, ...more }: CharacterLoraInput): Promise<CharacterLoraInput> {
  const its = host ?? (run === undefined ? undefined : await hostOfRun(client, run));
  return {
    ...(job !== undefined && { job }),
    ...(run !== undefined && { run }),
    ...(its !== undefined && { host: its }),
    ...more,
  };
}

/** What lists show of a run from its first moment. */
interface Subject {
  readonly summary: string;
  readonly memo?: Readonly<Record<string, string>>;
}

/** Whose run it is: by the job, or by the earlier run that goes on. */
function subjectOf({ job, run }: CharacterLoraInput): Subject & { readonly slug: string } {
  if (job !== undefined || run === undefined) {
    const { name, priority } = parseCharacterJob(job);
    return { slug: slugOf(name), summary: `Character LoRA of ${name}`.slice(0, 200), memo: { name, priority } };
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
  { input, summary, memo }: Subject & { readonly input: CharacterLoraInput },
): Promise<CharacterLoraHandle> {
  return client.workflow.start<typeof characterLora>('characterLora', {
    taskQueue: towerQueue,
    workflowId,
    // An id names one run for good: what it has made carries it.
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
    staticSummary: summary,
    ...(memo && { memo }),
    typedSearchAttributes: [{ key: towerSearchAttributes.loop, value: 'character' }],
    args: [input],
  });
}
