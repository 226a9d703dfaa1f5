import { proxyActivities } from '@temporalio/workflow';

import type { MonitorRecord, SyntxActivities } from '../activities/syntx/interfaces.js';
import { reportDayBefore } from './daily-report.js';
import { PromptDisplay } from './prompt-display.js';
import { checkPromptInput, logicalTimeOf, requirePromptId } from './prompt-input.js';
import { lookPolicy } from './prompt-policies.js';

export interface MonitorQueueInput {
  /** ISO 8601 with its zone; default: the start of this workflow. */
  readonly logicalTime?: string | undefined;
}

export interface MonitorQueueResult extends MonitorRecord {
  readonly logicalTime: string;
  /** Page of the day before, when this run has written it. */
  readonly report: string | null;
}

const tower = proxyActivities<SyntxActivities>(lookPolicy);

/** `monitorQueue`: the guide's line in the guide's file, metrics, and what is not well; jobs that nobody works on go back. The first of a day reports the day before. */
export async function monitorQueue(input: MonitorQueueInput = {}): Promise<MonitorQueueResult> {
  requirePromptId('monitor');
  checkPromptInput(input, { names: ['logicalTime'] });
  const logicalTime = logicalTimeOf(input);
  const display = new PromptDisplay('Monitor', logicalTime);
  display.stage('observe');
  const record = await tower.observeQueue({ logicalTime });
  display.row('Queue', record.line.replaceAll(' | ', ', '));
  display.row('Flags', record.flags.map(({ text }) => text).join('; ') || 'none');
  const report = await reportDayBefore(logicalTime, display);
  display.stage('done');
  return { logicalTime, ...record, report };
}
