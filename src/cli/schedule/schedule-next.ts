import { comingTimes } from '../../temporal/schedules/coming-times.js';
import { configuredSchedules } from '../../temporal/schedules/declaration.js';
import { scheduledDays, type ScheduledDay } from '../../temporal/schedules/odd-days.js';
import type { CommandContext } from '../command-context.js';
import { declaredSchedule } from './schedule-commands.js';
import { tableText } from '../table.js';
import { withClient } from '../temporal-client.js';

const dayMs = 86_400_000;
const namedTimes = 4;

/** `tower schedule next`: what the server will do, day by day in the schedule's time zone. */
export async function nextCommand(
  context: CommandContext,
  name: string | undefined,
  { days, odd }: { readonly days: number; readonly odd: boolean },
): Promise<void> {
  const declarations =
    name === undefined ? await configuredSchedules(context.config) : [await declaredSchedule(context, name)];
  const from = new Date();
  const to = new Date(from.getTime() + days * dayMs);
  const schedules = await withClient(context, async ({ client }) => {
    const found = [];
    for (const declared of declarations.filter(({ enabled }) => enabled)) {
      const { id, cron, timezone } = declared;
      const times = await comingTimes(client, declared, { from, to });
      const all = scheduledDays(times, { cron, timezone, from, to });
      const shown = odd ? all.filter((day) => day.odd.length > 0) : all;
      found.push({ id, name: declared.name, cron, timezone, times: times.length, days: shown });
    }
    return found;
  });
  const texts = schedules.map(({ name, cron, timezone, times, days: shown }) => {
    const head = `${name}: ${cron.join(', ')} (${timezone}), ${times} times in ${days} days`;
    return [head, shown.length === 0 ? 'no odd day' : tableText(['DAY', 'AT', 'ODD'], shown.map(dayCells))].join('\n');
  });
  context.output.result({ from: from.toISOString(), to: to.toISOString(), schedules }, texts.join('\n\n'));
}

function dayCells({ date, times, odd }: ScheduledDay): string[] {
  const [first, last] = [times[0], times.at(-1)];
  const text =
    times.length > namedTimes
      ? `${times.length} times, ${first?.local} to ${last?.local}`
      : times.map(({ local, offset }) => `${local} ${offset}`).join(', ');
  return [date, text || '-', odd.join('; ')];
}
