import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { configSchema } from '../../src/config/schema.js';
import { calendarsOfCron } from '../../src/temporal/schedules/cron.js';
import { loadSchedules, type ScheduleSettings } from '../../src/temporal/schedules/declaration.js';
import { definitionOf } from '../../src/temporal/schedules/schedule-options.js';

function settings(schedules: Record<string, unknown> = {}): ScheduleSettings {
  return configSchema.parse({ schedules }).schedules;
}

describe('calendarsOfCron', () => {
  const every = (start: unknown, end: unknown, step = 1) => [{ start, end, step }];

  it('reads numbers, ranges, steps, lists and names', () => {
    expect(calendarsOfCron('*/20 8-18/2,22 1 jan-MAR *')).toEqual([
      {
        comment: '*/20 8-18/2,22 1 jan-MAR *',
        second: 0,
        minute: every(0, 59, 20),
        hour: [...every(8, 18, 2), ...every(22, 22)],
        dayOfMonth: every(1, 1),
        month: every('JANUARY', 'MARCH'),
        dayOfWeek: every('SUNDAY', 'SATURDAY'),
      },
    ]);
  });

  it('takes a day of month and a day of week as alternatives, as cron does', () => {
    const calendars = calendarsOfCron('0 13 1 * mon');
    expect(calendars.map(({ dayOfMonth, dayOfWeek }) => [dayOfMonth, dayOfWeek])).toEqual([
      [every(1, 1), '*'],
      ['*', every('MONDAY', 'MONDAY')],
    ]);
  });

  it('knows Sunday as 0 and as 7, also in a range', () => {
    const daysOf = (line: string) => calendarsOfCron(line)[0]?.dayOfWeek;
    expect(daysOf('0 0 * * 7')).toEqual(every('SUNDAY', 'SUNDAY'));
    expect(daysOf('0 0 * * 5-7')).toEqual([...every('SUNDAY', 'SUNDAY'), ...every('FRIDAY', 'SATURDAY')]);
    expect(daysOf('0 0 * * *')).toEqual(every('SUNDAY', 'SATURDAY'));
  });

  it('knows the usual short names', () => {
    expect(calendarsOfCron('@daily')).toMatchObject([{ minute: every(0, 0), hour: every(0, 0), comment: '@daily' }]);
  });

  it.each([
    ['0 13 * *', 'five fields'],
    ['60 13 * * *', 'minute between 0 and 59, found "60"'],
    ['0 24 * * *', 'hour between 0 and 23'],
    ['0 13 0 * *', 'day of month between 1 and 31'],
    ['0 13 * foo *', 'month between 1 and 12, found "foo"'],
    ['0 18-8 * * *', 'hour from a lower to a higher value'],
    ['*/0 * * * *', 'minute like 5'],
    ['0 13 L * *', 'day of month between'],
    ['@reboot', 'five fields'],
  ])('refuses %s', (line, reason) => {
    expect(() => calendarsOfCron(line)).toThrow(reason);
  });
});

describe('declared schedules', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tower-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('are complete: nothing is left to the server’s defaults', async () => {
    const [daily, housekeeping, ...others] = await loadSchedules(settings({ timezone: 'Europe/Berlin' }));
    expect(others).toEqual([]);
    expect(daily).toMatchObject({ id: 'tower-daily', name: 'daily', enabled: true, timezone: 'Europe/Berlin' });
    const definition = daily && definitionOf(daily);
    expect(definition).toMatchObject({
      spec: { timezone: 'Europe/Berlin', calendars: [{ comment: '0 13 * * *' }] },
      action: {
        workflowType: 'dailyTick',
        taskQueue: 'tower',
        args: [{}],
        workflowExecutionTimeout: 20 * 3_600_000,
      },
      policies: { overlap: 'BUFFER_ONE', catchupWindow: 23 * 3_600_000, pauseOnFailure: false },
    });
    expect(housekeeping && definitionOf(housekeeping)).toMatchObject({
      action: { workflowType: 'housekeeping', workflowExecutionTimeout: 9 * 60_000 },
      policies: { overlap: 'SKIP', catchupWindow: 10 * 60_000 },
    });
    expect(daily?.overlap.reason).toMatch(/\w/);
  });

  it('take cron lines and switches from the configuration', async () => {
    const [daily, housekeeping] = await loadSchedules(
      settings({
        daily: { cron: ['0 6 * * mon-fri', '0 13 * * *'] },
        housekeeping: { enabled: false, cron: '*/5 * * * *' },
      }),
    );
    expect(daily && definitionOf(daily).spec.calendars).toHaveLength(2);
    expect(housekeeping).toMatchObject({ enabled: false, cron: ['*/5 * * * *'] });
  });

  it('refuse a cron line of the configuration that means nothing', async () => {
    await expect(loadSchedules(settings({ daily: { cron: '0 25 * * *' } }))).rejects.toMatchObject({
      code: 'CRON_INVALID',
    });
  });

  it('report every fault of a file at once', async () => {
    await writeFile(
      join(directory, 'bad.toml'),
      'id = "other"\nworkflowType = "x"\nsummary = "s"\ncron = ["0 99 * * *"]\nexecutionTimeout = "soon"\nargs = []\n[overlap]\npolicy = "ALLOW_ALL"\nreason = "r"\n[catchup]\nwindow = "1h"\n',
    );
    const loading = loadSchedules(settings(), { directory });
    await expect(loading).rejects.toMatchObject({ code: 'SCHEDULE_INVALID' });
    for (const part of ['bad.toml', 'tower-', 'hour between', 'duration such as', 'SKIP', 'catchup.reason']) {
      await expect(loading).rejects.toThrow(part);
    }
  });

  it('refuse a file that is no TOML', async () => {
    await writeFile(join(directory, 'bad.toml'), 'id = ');
    await expect(loadSchedules(settings(), { directory })).rejects.toMatchObject({ code: 'SCHEDULE_INVALID' });
  });
});
