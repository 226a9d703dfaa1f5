import { proxyActivities } from '@temporalio/workflow';

import type { MonitorRecord, SyntxActivities } from '../activities/syntx/interfaces.js';
import { PromptDisplay } from './prompt-display.js';
import { checkPromptInput, logicalTimeOf, requirePromptId } from './prompt-input.js';
import { lookPolicy } from './prompt-policies.js';

export interface MonitorQueueInput {
  /** ISO 8601 with its zone; default: the start of this workflow. */
  readonly logicalTime?: string | undefined;
}

export interface MonitorQueueResult extends MonitorRecord {
  readonly logicalTime: string;
}

const tower = proxyActivities<SyntxActivities>(lookPolicy);

/** `monitorQueue`: the guide's line in the guide's file, metrics, and what is not well; jobs that nobody works on go back. */
export async function monitorQueue(input: MonitorQueueInput = {}): Promise<MonitorQueueResult> {
  requirePromptId('monitor');
  checkPromptInput(input, { names: ['logicalTime'] });
  const logicalTime = logicalTimeOf(input);
  const display = new PromptDisplay('Monitor', logicalTime);
  display.stage('observe');
  const record = await tower.observeQueue({ logicalTime });
  display.row('Queue', record.line.replaceAll(' | ', ', '));
  display.row('Flags', record.flags.map(({ text }) => text).join('; ') || 'none');
  display.stage('done');
  return { logicalTime, ...record };
}
