import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import { optionalTsToDate } from '@temporalio/common/lib/time.js';

import { TowerError } from '../../errors.js';
import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import { progressOf, type ActivityProgress } from './activity-progress.js';
import { failureOf, type FailureText } from './workflow-failure.js';

export type WorkflowStatus =
  | 'running'
  | 'paused'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'terminated'
  | 'timed-out'
  | 'continued-as-new'
  | 'unknown';

/** One workflow as it stands, from a single `describe` call. Times are ISO 8601 UTC. */
export interface WorkflowSnapshot {
  readonly time: string;
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  /** `paused` is Tower's own pause: the workflow is open and waits for `tower resume`. */
  readonly status: WorkflowStatus;
  readonly stage: string | null;
  readonly simulated: boolean;
  readonly startedAt: string;
  readonly closedAt: string | null;
  readonly activities: readonly ActivitySnapshot[];
  /** Running children, by workflow id. */
  readonly children: readonly string[];
}

export interface ActivitySnapshot {
  readonly activity: string;
  readonly state: 'waiting' | 'running' | 'cancelling' | 'paused';
  /** From 1. */
  readonly attempt: number;
  readonly since: string | null;
  /** Why the attempt before this one ended. */
  readonly lastFailure: FailureText | null;
  readonly nextAttemptAt: string | null;
  readonly progress: ActivityProgress | null;
}

type PendingActivity = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

/** `PendingActivityState` of the server's API. The last is a pause that was asked for: until it is obeyed, the work runs. */
const activityStates = ['waiting', 'waiting', 'running', 'cancelling', 'paused', 'running'] as const;

/** @throws TowerError `NOT_FOUND` when no workflow has this id. */
export async function takeSnapshot(client: Client, workflowId: string, runId?: string): Promise<WorkflowSnapshot> {
  const description = await describe(client, workflowId, runId);
  const { raw } = description;
  const stage = description.typedSearchAttributes.get(towerSearchAttributes.stage) ?? null;
  const status = statusOf(description.status.name);
  return {
    time: new Date().toISOString(),
    workflowId: description.workflowId,
    runId: description.runId,
    type: description.type,
    status: status === 'running' && isPausedStage(stage) ? 'paused' : status,
    stage,
    simulated: description.typedSearchAttributes.get(towerSearchAttributes.simulated) ?? false,
    startedAt: description.startTime.toISOString(),
    closedAt: description.closeTime?.toISOString() ?? null,
    activities: await Promise.all((raw.pendingActivities ?? []).map((pending) => activityOf(client, pending))),
    children: (raw.pendingChildren ?? []).map((child) => child.workflowId ?? ''),
  };
}

function statusOf(name: string): WorkflowStatus {
  const status = name.toLowerCase().replaceAll('_', '-');
  const known = ['running', 'completed', 'failed', 'cancelled', 'terminated', 'timed-out', 'continued-as-new'] as const;
  return known.find((candidate) => candidate === status) ?? 'unknown';
}

/** A paused run says so in its stage (`train (paused)`), so that lists can be filtered for it. */
export function isPausedStage(stage: string | null): boolean {
  return stage?.endsWith('(paused)') ?? false;
}

export function isOpen(status: WorkflowStatus): boolean {
  return status === 'running' || status === 'paused';
}

async function describe(client: Client, workflowId: string, runId?: string): Promise<WorkflowExecutionDescription> {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    throw new TowerError(
      'NOT_FOUND',
      `no workflow has the id ${workflowId}${runId === undefined ? '' : ` and run ${runId}`}`,
      {
        cause: error,
        next: '`tower status` lists what runs.',
      },
    );
  }
}

async function activityOf(client: Client, pending: PendingActivity): Promise<ActivitySnapshot> {
  const converter = client.options.loadedDataConverter;
  const [details] = await decodeArrayFromPayloads(converter, pending.heartbeatDetails?.payloads);
  const failure = await decodeOptionalFailureToOptionalError(converter, pending.lastFailure);
  const iso = (time: Parameters<typeof optionalTsToDate>[0]) => optionalTsToDate(time)?.toISOString() ?? null;
  const state = activityStates[pending.state ?? 0] ?? 'waiting';
  return {
    activity: pending.activityType?.name ?? 'unknown',
    state,
    attempt: pending.attempt ?? 1,
    since: iso(state === 'waiting' ? pending.scheduledTime : pending.lastStartedTime),
    lastFailure: failure === undefined ? null : failureOf(failure),
    nextAttemptAt: state === 'waiting' ? iso(pending.nextAttemptScheduleTime) : null,
    progress: progressOf(details),
  };
}
