import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import { configuredSchedules } from '../../temporal/schedules/declaration.js';
import { listSchedules, type ScheduleStatus } from '../../temporal/schedules/list-schedules.js';
import { findRunningServer } from '../../temporal/server-file.js';
import { towerQueue } from '../../temporal/task-queues.js';
import type { CommandContext } from '../command-context.js';
import { readQueues, type QueueStatus } from './queue-status.js';
import type { RunningWorkflow } from './running-workflow.js';
import { explainWaiting } from './waiting-characters.js';
import { withClient, type TemporalSession } from '../temporal-client.js';
import { isPausedStage } from '../runs/workflow-snapshot.js';

export type ServerStatus =
  | {
      readonly reachable: false;
      readonly error: { readonly code: string; readonly message: string; readonly next: string | null };
    }
  | {
      readonly reachable: true;
      readonly address: string;
      readonly namespace: string;
      /** Web UI of the embedded server; others do not tell theirs. */
      readonly uiAddress: string | null;
      readonly queues: readonly QueueStatus[];
      readonly workflows: readonly RunningWorkflow[];
      readonly schedules: readonly ScheduleStatus[];
    };

/** More running workflows than these are not listed one by one. */
const workflowLimit = 100;
const readTimeoutMs = 20_000;

/** @throws TowerError when the server cannot be reached (`withClient`). */
export async function readServerStatus(context: CommandContext): Promise<ServerStatus> {
  const declarations = await configuredSchedules(context.config);
  return withClient(context, (session) =>
    session.connection.withDeadline(Date.now() + readTimeoutMs, async () => {
      const { address, namespace, source } = session.server;
      const embedded = source === 'embedded' ? await findRunningServer(context.home) : undefined;
      const [queues, workflows, schedules] = await Promise.all([
        readQueues(session, context),
        runningWorkflows(session).then((running) => explainWaiting(session.client, running)),
        listSchedules(session.client, declarations),
      ]);
      const uiAddress = embedded?.uiAddress ?? null;
      return { reachable: true, address, namespace, uiAddress, queues, workflows, schedules };
    }),
  );
}

async function runningWorkflows({ client }: TemporalSession): Promise<RunningWorkflow[]> {
  const running: RunningWorkflow[] = [];
  const query = `TaskQueue = "${towerQueue}" AND ExecutionStatus = "Running"`;
  for await (const info of client.workflow.list({ query, pageSize: workflowLimit })) {
    const stage = info.typedSearchAttributes.get(towerSearchAttributes.stage) ?? null;
    running.push({
      workflowId: info.workflowId,
      runId: info.runId,
      type: info.type,
      stage,
      paused: isPausedStage(stage),
      simulated: info.typedSearchAttributes.get(towerSearchAttributes.simulated) ?? false,
      startedAt: info.startTime.toISOString(),
      waitsFor: null,
    });
    if (running.length === workflowLimit) break;
  }
  return running;
}
