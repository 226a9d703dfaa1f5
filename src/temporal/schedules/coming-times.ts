import type { Client } from '@temporalio/client';
import { msToTs, tsToDate } from '@temporalio/common/lib/time.js';

import { TowerError } from '../../errors.js';
import type { DeclaredSchedule } from './declaration.js';
import { describeSchedule } from './plan-changes.js';

/** The server answers with at most so many times. */
const answerLimit = 1000;

/**
 * The times in a period at which the server will fire a schedule, by the server's own reckoning: what it makes of a local
 * time that a day does not have, or has twice, is its affair.
 *
 * @throws TowerError `SCHEDULE_UNKNOWN` when the server has no such schedule.
 */
export async function comingTimes(
  client: Client,
  declared: DeclaredSchedule,
  period: { readonly from: Date; readonly to: Date },
): Promise<Date[]> {
  if ((await describeSchedule(client, declared.id)) === undefined) {
    throw new TowerError('SCHEDULE_UNKNOWN', `the server has no schedule ${declared.id}`, {
      next: 'Run `tower schedule apply`.',
    });
  }
  const times: Date[] = [];
  let from = period.from;
  for (;;) {
    const { startTime } = await client.connection.workflowService.listScheduleMatchingTimes({
      namespace: client.options.namespace,
      scheduleId: declared.id,
      startTime: msToTs(from.getTime()),
      endTime: msToTs(period.to.getTime()),
    });
    const found = startTime.map(tsToDate);
    times.push(...found);
    const last = found.at(-1);
    if (found.length < answerLimit || last === undefined) return times;
    from = new Date(last.getTime() + 1);
  }
}
