import { styleText } from 'node:util';

import { agoText, localTime } from '../durations.js';
import type { LocalStatus } from './local-status.js';
import type { QueueStatus } from './queue-status.js';
import { scheduleTable } from '../schedule/schedule-table.js';
import type { RunningWorkflow } from './running-workflow.js';
import type { ServerStatus } from './server-status.js';
import type { StatusReport } from './status-problems.js';
import { pairsText, tableText } from '../table.js';

/** The report for people: problems first, because that is what somebody who looks wants to know. */
export function statusText(report: StatusReport, problems: readonly string[]): string {
  const { server } = report;
  const now = new Date(report.time);
  return [
    problems.map((problem) => `${colour('red', '!')} ${problem}`).join('\n'),
    pairsText([...serverPairs(server), ['State', report.home]]),
    section('GPU', report.gpus.map(({ text }) => text).join('\n')),
    ...(server.reachable
      ? [
          section('Workers', workersText(server.queues, now)),
          section('Running', runningText(server.workflows, now)),
          section('Schedules', scheduleTable(server.schedules, now)),
        ]
      : []),
    section('Daily cycle', cycleText(report, now)),
    section('SYNTX queue', report.syntx?.line ?? ''),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function serverPairs(server: ServerStatus): [string, string][] {
  if (!server.reachable) return [['Temporal', `not reachable [${server.error.code}]`]];
  const { address, namespace, uiAddress } = server;
  return [
    ['Temporal', `${address}, namespace ${namespace}`],
    ...(uiAddress === null ? [] : [['Web UI', uiAddress] as [string, string]]),
  ];
}

function workersText(queues: readonly QueueStatus[], now: Date): string {
  return tableText(
    ['QUEUE', 'WORKER', 'SINCE', 'BUSY', 'WAITING (by priority)'],
    queues.map((queue) => workerRow(queue, now)),
  );
}

function workerRow({ queue, workers, waiting }: QueueStatus, now: Date): string[] {
  const since = workers.map(({ startedAt }) => (startedAt === null ? '?' : agoText(startedAt, now)));
  return [
    queue,
    workers.length === 0 ? colour('red', 'none') : workers.map(({ identity }) => identity).join(', '),
    since.join(', '),
    String(workers.reduce((sum, { busy }) => sum + busy, 0)),
    waiting.map(({ priority, count }) => `${priority}: ${count}`).join(', ') || '-',
  ];
}

function runningText(workflows: readonly RunningWorkflow[], now: Date): string {
  if (workflows.length === 0) return 'nothing';
  return tableText(
    ['WORKFLOW', 'STAGE', 'STARTED', ''],
    workflows.map(({ workflowId, stage, paused, simulated, startedAt, waitsFor }) => [
      workflowId,
      paused ? colour('yellow', stage ?? 'paused') : (stage ?? '-'),
      agoText(startedAt, now),
      waitsFor ?? (simulated ? 'simulated' : ''),
    ]),
  );
}

function cycleText({ lastCycle, undelivered, champion, runs }: LocalStatus, now: Date): string {
  const living = runs.living.map(({ run, pid }) => `${run} (pid ${pid})`).join(', ');
  return pairsText([
    ['Last cycle', lastCycle === null ? 'none yet' : lastCycleText(lastCycle, now)],
    ['Adapter in use', champion ?? 'none yet'],
    ['Training now', living || 'nothing'],
    ['Runs on disk', String(runs.total)],
    ...undelivered.map(({ version, attempts, reason }): [string, string] => [
      'Undelivered',
      `${version}, ${attempts} attempt(s)${reason === null ? '' : `: ${reason}`}`,
    ]),
  ]);
}

function lastCycleText(
  { logicalTime, outcome, reason, finishedAt }: NonNullable<LocalStatus['lastCycle']>,
  now: Date,
): string {
  const ended = finishedAt === null ? 'not ended' : `ended ${agoText(finishedAt, now)}`;
  return `${localTime(logicalTime)}, ${outcome ?? 'running'} (${ended})${reason === null ? '' : `: ${reason}`}`;
}

function section(title: string, body: string): string {
  return body === '' ? '' : `${colour('bold', title)}\n${body}`;
}

function colour(style: 'red' | 'yellow' | 'bold', text: string): string {
  return styleText(style, text, { stream: process.stdout });
}
