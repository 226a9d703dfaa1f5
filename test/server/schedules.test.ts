import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, Connection, type ScheduleSpec } from '@temporalio/client';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startEmbeddedServer, type EmbeddedServer } from '../../src/temporal/embedded-server.js';
import { applySchedules, removeSchedules } from '../../src/temporal/schedules/apply-schedules.js';
import { comingTimes } from '../../src/temporal/schedules/coming-times.js';
import { pauseSchedule, triggerSchedule, unpauseSchedule } from '../../src/temporal/schedules/control-schedules.js';
import { calendarsOfCron } from '../../src/temporal/schedules/cron.js';
import { configuredSchedules, loadSchedules, type DeclaredSchedule } from '../../src/temporal/schedules/declaration.js';
import { listSchedules } from '../../src/temporal/schedules/list-schedules.js';
import { scheduledDays } from '../../src/temporal/schedules/odd-days.js';
import { planScheduleChanges } from '../../src/temporal/schedules/plan-changes.js';
import { configSchema } from '../../src/config/schema.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { waitUntil } from '../support/wait-until.js';

const log = pino({ level: 'silent' });
const hourMs = 3_600_000;
let stateDirectory: string;
let server: EmbeddedServer;
let connection: Connection;
let client: Client;

async function startServer(): Promise<void> {
  server = await startEmbeddedServer(
    {
      cli: await testTemporalCli(),
      stateDirectory,
      namespace: 'default',
      retentionDays: 30,
      searchAttributes: [],
      logPath: join(stateDirectory, 'server.log'),
      inMemory: true,
    },
    { signal: new AbortController().signal, log },
  );
  connection = await Connection.connect({ address: server.address });
  client = new Client({ connection });
}

async function stopServer(): Promise<void> {
  await connection.close();
  await server.stop();
}

beforeAll(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'tower-'));
  await startServer();
});

afterAll(async () => {
  await stopServer();
  await rm(stateDirectory, { recursive: true, force: true });
});

async function declare(schedules: Record<string, unknown> = {}): Promise<[DeclaredSchedule, DeclaredSchedule]> {
  const declared = await loadSchedules(configSchema.parse({ schedules }).schedules);
  return [named(declared, 'daily'), named(declared, 'housekeeping')];
}

function named(declared: readonly DeclaredSchedule[], name: string): DeclaredSchedule {
  const found = declared.find((schedule) => schedule.name === name);
  if (found === undefined) throw new Error(`no schedule ${name}`);
  return found;
}

async function apply(declared: readonly DeclaredSchedule[]): Promise<Record<string, string>> {
  const changes = await applySchedules(client, declared, { stateDirectory, log });
  return Object.fromEntries(changes.map(({ id, change }) => [id, change]));
}

async function nextTimes(scheduleId: string, spec: ScheduleSpec): Promise<Date[]> {
  const action = { type: 'startWorkflow', workflowType: 'none', taskQueue: 'nobody' } as const;
  const handle = await client.schedule.create({ scheduleId, spec, action, state: { paused: true } });
  const { info } = await handle.describe();
  await handle.delete();
  return info.nextActionTimes;
}

describe('schedules on the real server', () => {
  it('are created, then left alone', async () => {
    const declared = await declare({ timezone: 'Europe/Berlin' });
    expect(await apply(declared)).toEqual({ 'tower-daily': 'create', 'tower-housekeeping': 'create' });
    expect(await apply(declared)).toEqual({ 'tower-daily': 'unchanged', 'tower-housekeeping': 'unchanged' });

    const [daily] = await listSchedules(client, declared);
    expect(daily).toMatchObject({ id: 'tower-daily', state: 'active', missed: 0, skipped: 0, taken: 0 });
    const local = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' });
    expect(daily?.nextTimes.map((time) => local.format(new Date(time)))).toEqual(Array(10).fill('13:00'));
  });

  it('fire when the server itself would fire for the same cron line', async () => {
    const lines = ['*/20 8-18/2,22 * * 1-5', '15 3 1,15 feb-apr *', '0 6 * * sun', '59 23 29 2 *', '0 0 * * 5-7'];
    for (const [index, line] of lines.entries()) {
      const byServer = await nextTimes(`by-server-${index}`, { cronExpressions: [line] });
      expect(byServer).toHaveLength(10);
      expect(await nextTimes(`by-us-${index}`, { calendars: calendarsOfCron(line) })).toEqual(byServer);
    }
  });

  it('follow the configuration and keep a person’s pause and note', async () => {
    const before = await declare();
    await apply(before);
    await pauseSchedule({ client, stateDirectory }, before[0], 'gaming tonight');
    const after = await declare({ daily: { cron: ['0 6 * * *', '0 18 * * *'] }, timezone: 'America/New_York' });
    const plan = await planScheduleChanges(client, after);
    expect(plan[0]).toMatchObject({
      change: 'update',
      differences: [{ setting: 'calendars' }, { setting: 'timezone', found: 'UTC', wanted: 'America/New_York' }],
    });
    expect(await apply(after)).toMatchObject({ 'tower-daily': 'update' });
    const [daily] = await listSchedules(client, after);
    expect(daily).toMatchObject({ state: 'paused', note: 'gaming tonight', nextTimes: [] });

    await unpauseSchedule({ client, stateDirectory }, after[0], 'done');
    const [active] = await listSchedules(client, after);
    expect(active).toMatchObject({ state: 'active', note: 'done', cron: ['0 6 * * *', '0 18 * * *'] });
  });

  it('undo a change that somebody made in the Web UI', async () => {
    const declared = await declare();
    await apply(declared);
    await client.schedule.getHandle('tower-daily').update(({ spec, action, state, policies }) => ({
      spec,
      state,
      action: { ...action, args: [{ force: true }] },
      policies: { ...policies, overlap: 'ALLOW_ALL' },
    }));
    const plan = await planScheduleChanges(client, declared);
    expect(plan[0]).toMatchObject({ change: 'update', differences: [{ setting: 'args' }, { setting: 'overlap' }] });
    await apply(declared);
    expect((await planScheduleChanges(client, declared)).map(({ change }) => change)).toEqual([
      'unchanged',
      'unchanged',
    ]);
  });

  it('go when they are switched off or not declared any more; others stay', async () => {
    const action = { type: 'startWorkflow', workflowType: 'none', taskQueue: 'nobody' } as const;
    const spec = { intervals: [{ every: '1 day' as const }] };
    await client.schedule.create({ scheduleId: 'tower-of-somebody-else', spec, action });
    await client.schedule.create({ scheduleId: 'tower-old', spec, action, memo: { owner: 'tower' } });
    const declared = await declare({ housekeeping: { enabled: false } });
    await waitUntil('the old schedule is listed', async () => {
      return (await planScheduleChanges(client, declared)).some(({ id }) => id === 'tower-old');
    });
    expect(await apply(declared)).toMatchObject({ 'tower-housekeeping': 'delete', 'tower-old': 'delete' });
    expect(await apply(declared)).toEqual({ 'tower-daily': 'unchanged' });
    expect((await listSchedules(client, declared))[1]?.state).toBe('disabled');
    await client.schedule.getHandle('tower-of-somebody-else').delete();
  });

  it('refuse to take over a schedule that Tower did not make', async () => {
    const handle = client.schedule.getHandle('tower-housekeeping');
    await handle.delete().catch(() => undefined);
    await client.schedule.create({
      scheduleId: 'tower-housekeeping',
      spec: { intervals: [{ every: '1 day' }] },
      action: { type: 'startWorkflow', workflowType: 'none', taskQueue: 'nobody' },
    });
    await expect(apply(await declare())).rejects.toMatchObject({ code: 'SCHEDULE_NOT_OURS' });
    await handle.delete();
  });

  it('start one workflow by hand, under their own overlap policy', async () => {
    const declared = await declare();
    await apply(declared);
    const [, housekeeping] = declared;
    await triggerSchedule(client, housekeeping);
    await waitUntil('the first run is there', async () => {
      return ((await listSchedules(client, declared))[1]?.runningWorkflowIds.length ?? 0) === 1;
    });
    await triggerSchedule(client, housekeeping);
    await waitUntil(
      'the second is skipped',
      async () => ((await listSchedules(client, declared))[1]?.skipped ?? 0) === 1,
    );
    const [id = ''] = (await listSchedules(client, declared))[1]?.runningWorkflowIds ?? [];
    const started = await client.workflow.getHandle(id).describe();
    expect(id).toMatch(/^tower-housekeeping-\d{4}-/);
    expect(started).toMatchObject({ type: 'housekeeping', taskQueue: 'tower' });
    expect(await started.staticSummary()).toContain('Housekeeping');
  });

  it('say so when the server does not have one', async () => {
    const [daily] = await declare();
    const absent = { ...daily, id: 'tower-absent' };
    await expect(triggerSchedule(client, absent)).rejects.toMatchObject({ code: 'SCHEDULE_UNKNOWN' });
  });

  it('get their pause back after the database was lost', async () => {
    const declared = await declare();
    await apply(declared);
    await pauseSchedule({ client, stateDirectory }, declared[0], 'away until Monday');
    await stopServer();
    await startServer();
    expect(await apply(declared)).toMatchObject({ 'tower-daily': 'create', 'tower-housekeeping': 'create' });
    const [daily, housekeeping] = await listSchedules(client, declared);
    expect(daily).toMatchObject({ state: 'paused', note: 'away until Monday' });
    expect(housekeeping).toMatchObject({ state: 'active' });
  });

  it('learn of a pause made in the Web UI, and refuse a damaged copy', async () => {
    const declared = await declare();
    await client.schedule.getHandle('tower-housekeeping').pause('by hand');
    await apply(declared);
    const file = join(stateDirectory, 'schedules.json');
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      'tower-housekeeping': { paused: true, note: 'by hand' },
    });
    await writeFile(file, '[]');
    await expect(apply(declared)).rejects.toMatchObject({ code: 'FILE_INVALID' });
  });
});

describe('coming times', () => {
  beforeAll(() => rm(join(stateDirectory, 'schedules.json'), { force: true }));
  const period = { from: new Date('2027-03-01T00:00:00Z'), to: new Date('2027-11-30T00:00:00Z') };

  async function oddDays(cron: string, timezone: string): Promise<Record<string, string>> {
    const [daily] = await declare({ timezone, daily: { cron } });
    await apply([daily]);
    const times = await comingTimes(client, daily, period);
    const days = scheduledDays(times, { cron: daily.cron, timezone, ...period });
    return Object.fromEntries(days.filter(({ odd }) => odd.length > 0).map(({ date, odd }) => [date, odd.join('; ')]));
  }

  it('show what the server makes of days on which the clocks change', async () => {
    expect(await oddDays('0 13 * * *', 'Europe/Berlin')).toEqual({
      '2027-03-28': 'clocks change from UTC+01:00 to UTC+02:00',
      '2027-10-31': 'clocks change from UTC+02:00 to UTC+01:00',
    });
    const night = await oddDays('30 2 * * *', 'Europe/Berlin');
    expect(night['2027-03-28']).toMatch(/^02:30 does not exist on this day: (skipped|shifted to)/);
    expect(Object.keys(night)).toContain('2027-10-31');
    expect(await oddDays('30 2 * * *', 'UTC')).toEqual({});
    expect(Object.keys(await oddDays('0 13 * * *', 'America/New_York'))).toEqual(['2027-03-14', '2027-11-07']);
  });

  it('of the prompt evolution: a local time that a day lacks is left out, one that it has twice comes once', async () => {
    const settings = { syntx: { queue: '/srv/queue' }, schedules: { timezone: 'Europe/Berlin' } };
    const declared = await configuredSchedules(configSchema.parse(settings));
    await apply(declared);
    const timeIn = new Intl.DateTimeFormat('sv-SE', {
      timeZone: 'Europe/Berlin',
      dateStyle: 'short',
      timeStyle: 'short',
    });
    const hoursOn = async (day: string, name: string): Promise<number[]> => {
      const midnight = Date.parse(`${day}T00:00:00Z`);
      const around = { from: new Date(midnight - 4 * hourMs), to: new Date(midnight + 28 * hourMs) };
      const times = (await comingTimes(client, named(declared, name), around)).map((time) => timeIn.format(time));
      return times.filter((time) => time.startsWith(day)).map((time) => Number(time.slice(11, 13)));
    };
    const day = Array.from({ length: 24 }, (_, hour) => hour);
    const [spring, autumn] = ['2027-03-28', '2027-10-31'];
    // 02:00 to 03:00 does not exist: eleven runs of the producer, no clean-up, 23 lines of the monitor.
    expect(await hoursOn(spring, 'produce')).toEqual(day.filter((hour) => hour % 2 === 0 && hour !== 2));
    expect(await hoursOn(spring, 'clean')).toEqual([]);
    expect(await hoursOn(spring, 'monitor')).toEqual(day.filter((hour) => hour !== 2));
    // 02:00 to 03:00 comes twice, and nothing of it does.
    expect(await hoursOn(autumn, 'produce')).toEqual(day.filter((hour) => hour % 2 === 0));
    expect(await hoursOn(autumn, 'clean')).toEqual([2]);
    expect(await hoursOn(autumn, 'monitor')).toEqual(day);
    // No consumer misses a run, or has one too many.
    for (const date of [spring, autumn]) {
      expect(await hoursOn(date, 'consume-syntex-system')).toEqual([3]);
      expect(await hoursOn(date, 'consume-sigma')).toEqual([4, 10, 16, 22]);
    }
    await apply(await declare());
  });

  it('are complete beyond what the server tells at once', async () => {
    const [daily] = await declare({ daily: { cron: '*/30 * * * *' } });
    await apply([daily]);
    const times = await comingTimes(client, daily, {
      from: new Date('2027-01-01T00:00:00Z'),
      to: new Date('2027-03-02T00:00:00Z'),
    });
    // 60 days of 48, and the end itself or not.
    expect(times.length).toBeGreaterThanOrEqual(2879);
    expect(new Set(times.map(Number)).size).toBe(times.length);
  });
});

describe('letting go and taking away', () => {
  it('lets a schedule go on even with an empty note', async () => {
    const [daily] = await declare();
    await apply([daily]);
    await pauseSchedule({ client, stateDirectory }, daily, '');
    expect(await listSchedules(client, [daily])).toMatchObject([{ state: 'paused' }]);
    await unpauseSchedule({ client, stateDirectory }, daily, '');
    expect(await listSchedules(client, [daily])).toMatchObject([{ state: 'active', note: 'goes on' }]);
  });

  it("removes Tower's own schedules and nobody else's", async () => {
    await apply(await declare());
    const action = { type: 'startWorkflow', workflowType: 'none', taskQueue: 'nobody' } as const;
    const spec = { calendars: [{ hour: 3 }] };
    const foreign = [
      await client.schedule.create({ scheduleId: 'backup', spec, action }),
      await client.schedule.create({ scheduleId: 'tower-of-babel', spec, action, memo: { owner: 'somebody' } }),
    ];
    // The list of schedules lags behind.
    await waitUntil('both are removed', async () => {
      await removeSchedules(client, { log });
      return (await listSchedules(client, await declare())).every(({ state }) => state === 'absent');
    });
    for (const handle of foreign) await handle.delete();
  });
});
