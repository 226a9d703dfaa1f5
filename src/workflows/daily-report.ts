import { isCancellation, log, patched, proxyActivities, rootCause } from '@temporalio/workflow';

import type { DailyReportRecord, SyntxActivities } from '../activities/syntx/interfaces.js';
import { asCancellation } from './cancellation.js';
import type { PromptDisplay } from './prompt-display.js';
import { reportPolicy } from './prompt-policies.js';

const tower = proxyActivities<SyntxActivities>(reportPolicy);

/**
 * The page of the day before: the first run of a day that looks at the queue writes it, after its own work. A page that cannot be
 * written is said to be missing, and tried again by the next run.
 *
 * @returns its file; `null`: it was there already, nothing happened on that day, no such pages are wanted, or it cannot be written.
 */
export async function reportDayBefore(logicalTime: string, display: PromptDisplay): Promise<string | null> {
  // Runs that began with an older Tower end without it.
  if (!patched('reports-the-day-before')) return null;
  display.stage('report');
  const report = await written(logicalTime, display);
  if (report !== null) display.row('Report', `${report.day}: ${report.file}`);
  return report?.file ?? null;
}

async function written(logicalTime: string, display: PromptDisplay): Promise<DailyReportRecord | null> {
  try {
    return await tower.reportDayBefore({ logicalTime });
  } catch (thrown) {
    const error = asCancellation(thrown);
    // A page that could not be written failed the runs of an older Tower.
    if (isCancellation(error) || !patched('report-may-fail')) throw error;
    const reason = (rootCause(error) ?? 'no reason given').slice(0, 500);
    log.warn('the report of the day before could not be written', { reason });
    display.row('Report', `not written: ${reason}`);
    return null;
  }
}
