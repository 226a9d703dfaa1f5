import { patched } from '@temporalio/workflow';

import type { DailyReportRecord } from '../activities/syntx/interfaces.js';
import type { PromptDisplay } from './prompt-display.js';

/**
 * The page of the day before: the first run of a day that looks at the queue writes it, after its own work.
 *
 * @returns its file; `null`: it was there already, nothing happened on that day, or no such pages are wanted.
 */
export async function reportDayBefore(
  write: () => Promise<DailyReportRecord | null>,
  display: PromptDisplay,
): Promise<string | null> {
  // Runs that began with an older Tower end without it.
  if (!patched('reports-the-day-before')) return null;
  display.stage('report');
  const report = await write();
  if (report !== null) display.row('Report', `${report.day}: ${report.file}`);
  return report?.file ?? null;
}
