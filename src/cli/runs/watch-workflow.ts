import { setTimeout as sleep } from 'node:timers/promises';

import type { ProgressView } from './progress-view.js';
import { isUnreachable, type TemporalSession } from '../temporal-client.js';
import { outcomeOf, type WorkflowOutcome } from './workflow-outcome.js';
import { isOpen, takeSnapshot, type WorkflowSnapshot } from './workflow-snapshot.js';

export interface WatchedWorkflow {
  readonly workflowId: string;
  readonly runId?: string | undefined;
}

const periodMs = 1_000;
/** A look that takes longer counts as a server that is away. */
const lookTimeoutMs = 10_000;

/**
 * Shows a workflow, with its running children, until it is closed. A server that is away for a while is waited for.
 *
 * @throws the signal's reason when it aborts; TowerError `NOT_FOUND` when no workflow has this id.
 */
export async function watchWorkflow(
  { client, connection }: Pick<TemporalSession, 'client' | 'connection'>,
  watched: WatchedWorkflow,
  view: ProgressView,
  signal: AbortSignal,
): Promise<WorkflowOutcome> {
  let { runId } = watched;
  let away = false;
  for (;;) {
    signal.throwIfAborted();
    try {
      const look = () => lookAt(client, { workflowId: watched.workflowId, runId });
      const seen = await abortable(connection, signal, () => connection.withDeadline(Date.now() + lookTimeoutMs, look));
      if ('outcome' in seen) return seen.outcome;
      runId = seen.snapshots[0].runId;
      view.update(seen.snapshots);
      away = false;
    } catch (error) {
      signal.throwIfAborted();
      if (!isUnreachable(error)) throw error;
      if (!away) view.note('the Temporal server does not answer; still trying');
      away = true;
    }
    await sleep(periodMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Every call of the SDK leaves a listener on its signal, so the calls of one look get a signal that goes away with them. */
async function abortable<Result>(
  connection: TemporalSession['connection'],
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  const ownSignal = new AbortController();
  const abort = () => {
    ownSignal.abort(signal.reason);
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await connection.withAbortSignal(ownSignal.signal, work);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

type Look =
  | { readonly outcome: WorkflowOutcome }
  /** The workflow itself first. */
  | { readonly snapshots: readonly [WorkflowSnapshot, ...WorkflowSnapshot[]] };

async function lookAt(client: TemporalSession['client'], { workflowId, runId }: WatchedWorkflow): Promise<Look> {
  const root = await takeSnapshot(client, workflowId, runId);
  if (!isOpen(root.status)) return { outcome: await outcomeOf(client, root) };
  return { snapshots: [root, ...(await childrenOf(client, root))] };
}

/** A child that ended between the two calls is left out: the next look tells. */
async function childrenOf(client: TemporalSession['client'], root: WorkflowSnapshot): Promise<WorkflowSnapshot[]> {
  const children = await Promise.all(root.children.map((child) => takeSnapshot(client, child)));
  return children.filter((child) => isOpen(child.status));
}
