import { proxyActivities } from '@temporalio/workflow';

import type { CleanRecord, SyntxActivities } from '../activities/syntx/interfaces.js';
import { waitedFor } from './cancellation.js';
import { reportDayBefore } from './daily-report.js';
import { PromptDisplay } from './prompt-display.js';
import { checkPromptInput, logicalTimeOf, requirePromptId } from './prompt-input.js';
import { lookPolicy } from './prompt-policies.js';

export interface CleanQueueInput {
  /** List what would be cleaned away, and change nothing. */
  readonly dryRun?: boolean | undefined;
  /** ISO 8601 with its zone; default: the start of this workflow. */
  readonly logicalTime?: string | undefined;
}

export interface CleanQueueResult extends CleanRecord {
  readonly logicalTime: string;
  /** Page of the day before, when this run has written it. */
  readonly report: string | null;
}

/** `cleanQueue`: the guide's three rules, and old folders of producer runs; everything that goes is reported. The first run of a day reports the day before. */
export async function cleanQueue(input: CleanQueueInput = {}): Promise<CleanQueueResult> {
  requirePromptId('clean');
  checkPromptInput(input, { names: ['logicalTime', 'dryRun'] });
  const logicalTime = logicalTimeOf(input);
  const display = new PromptDisplay('Clean-up', logicalTime);
  display.stage('clean');
  const run = `clean-${logicalTime.replaceAll(/[-:.]/g, '')}`;
  const { cleanQueue: clean } = proxyActivities<SyntxActivities>(waitedFor(lookPolicy));
  const record = await clean({ run, dryRun: input.dryRun ?? false });
  const { temporary, broken, logs, runs, dryRun } = record;
  display.row(
    dryRun ? 'Would go' : 'Gone',
    `${temporary} temporary files, ${broken} prompts without metadata, ${logs} logs, ${runs} folders of producer runs`,
  );
  const report = dryRun ? null : await reportDayBefore(logicalTime, display);
  display.stage('done');
  return { logicalTime, ...record, report };
}
