import { hostname } from 'node:os';

import { isGrpcServiceError, type Client, type WorkflowService } from '@temporalio/client';
import { optionalTsToDate, tsToMs } from '@temporalio/common/lib/time.js';

import { readProcess } from '../gpu/process-table.js';

/** A worker that has shown itself lately. One process is several workers when it serves several queues. */
export interface LivingWorker {
  readonly queue: string;
  /** `<role>@<host>:<pid>`. */
  readonly identity: string;
  readonly startedAt: string | null;
  readonly lastHeartbeatAt: string | null;
  /** Activities it works on now. */
  readonly busy: number;
}

/** `WorkerStatus` of the server's API. */
const running = 1;
/** Without a period of its own a worker reports every minute. */
const defaultPeriodMs = 60_000;
/** Two reports may get lost. */
const toleratedPeriods = 2.5;
/** A report is a little older than its period when it is read, and a busy machine is late. */
const shortestPeriodMs = 5_000;
const grpcNotFound = 5;

/**
 * Workers by their own heartbeats. Pollers are no sign of life: a one-slot queue shows none while its slot is busy. The
 * server keeps dead workers in its list for a while; they are told by their age, and on this machine by their pid.
 */
export async function listLivingWorkers({
  connection,
  options: { namespace },
}: Pick<Client, 'connection' | 'options'>): Promise<LivingWorker[]> {
  const workers = await listRunning(connection, namespace);
  const possible = workers.filter(({ hostName, processId }) => hostName !== hostname() || isLiving(Number(processId)));
  const described = await Promise.all(
    possible.map(({ workerInstanceKey }) => lastReport(connection, namespace, workerInstanceKey ?? '')),
  );
  return described
    .filter((report) => report !== undefined)
    .filter(isFresh)
    .map((report) => ({
      queue: report.taskQueue ?? '',
      identity: report.workerIdentity ?? '',
      startedAt: optionalTsToDate(report.startTime)?.toISOString() ?? null,
      lastHeartbeatAt: optionalTsToDate(report.heartbeatTime)?.toISOString() ?? null,
      busy: report.activityTaskSlotsInfo?.currentUsedSlots ?? 0,
    }));
}

type Listed = Awaited<ReturnType<WorkflowService['listWorkers']>>['workers'][number];
type Report = NonNullable<
  NonNullable<Awaited<ReturnType<WorkflowService['describeWorker']>>['workerInfo']>['workerHeartbeat']
>;

async function listRunning({ workflowService }: Client['connection'], namespace: string): Promise<Listed[]> {
  const workers: Listed[] = [];
  let nextPageToken = new Uint8Array();
  do {
    const page = await workflowService.listWorkers({ namespace, nextPageToken });
    workers.push(...page.workers.filter(({ status }) => Number(status) === running));
    nextPageToken = new Uint8Array(page.nextPageToken);
  } while (nextPageToken.length > 0);
  return workers;
}

/** `undefined` when the server has dropped the worker since it was listed. */
async function lastReport(
  { workflowService }: Client['connection'],
  namespace: string,
  workerInstanceKey: string,
): Promise<Report | undefined> {
  try {
    const { workerInfo } = await workflowService.describeWorker({ namespace, workerInstanceKey });
    return workerInfo?.workerHeartbeat ?? undefined;
  } catch (error) {
    if (isGrpcServiceError(error) && (error.code as number) === grpcNotFound) return undefined;
    throw error;
  }
}

function isFresh({ heartbeatTime, elapsedSinceLastHeartbeat }: Report): boolean {
  const reported = optionalTsToDate(heartbeatTime);
  if (reported === undefined) return false;
  // Absent in a worker's first report.
  const periodMs = elapsedSinceLastHeartbeat == null ? defaultPeriodMs : tsToMs(elapsedSinceLastHeartbeat);
  return Date.now() - reported.getTime() < toleratedPeriods * Math.max(periodMs, shortestPeriodMs);
}

/** A zombie is none: who was killed may wait long for its parent to notice. */
function isLiving(pid: number): boolean {
  return readProcess(pid)?.alive === true;
}
