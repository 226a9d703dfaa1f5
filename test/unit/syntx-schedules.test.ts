import { expect, it } from 'vitest';

import { configSchema } from '../../src/config/schema.js';
import { configuredSchedules, type DeclaredSchedule } from '../../src/temporal/schedules/declaration.js';
import { definitionOf } from '../../src/temporal/schedules/schedule-options.js';

async function declared(settings: Record<string, unknown> = {}): Promise<Map<string, DeclaredSchedule>> {
  const config = configSchema.parse({ syntx: { queue: '/srv/syntx/queue' }, ...settings });
  return new Map((await configuredSchedules(config)).map((schedule) => [schedule.name, schedule]));
}

it('the five schedules of the prompt evolution exist only with a queue directory', async () => {
  const names = ['clean', 'consume-sigma', 'consume-syntex-system', 'monitor', 'produce'];
  expect([...(await declared()).keys()].filter((name) => names.includes(name))).toEqual(names);
  const without = await configuredSchedules(configSchema.parse({}));
  expect(without.map(({ name }) => name)).toEqual(['daily', 'housekeeping']);
});

it('have the times of the guide, and never overlap themselves', async () => {
  const schedules = await declared({ schedules: { timezone: 'Europe/Berlin' } });
  const of = (name: string) => {
    const { cron, args, overlap, workflowType, timezone } = schedules.get(name)!;
    return { cron, args, policy: overlap.policy, workflowType, timezone };
  };
  const tick = { policy: 'SKIP', workflowType: 'promptTick', timezone: 'Europe/Berlin' };
  expect(of('produce')).toEqual({ ...tick, cron: ['0 */2 * * *'], args: [{ kind: 'produce' }] });
  expect(of('consume-syntex-system')).toEqual({
    ...{ ...tick, cron: ['0 3 * * *'], args: [{ kind: 'consume', wrapper: 'syntex_system' }] },
  });
  expect(of('consume-sigma')).toEqual({
    ...{ ...tick, cron: ['0 4,10,16,22 * * *'], args: [{ kind: 'consume', wrapper: 'sigma' }] },
  });
  expect(of('monitor')).toEqual({ ...tick, cron: ['0 * * * *'], args: [{ kind: 'monitor' }] });
  expect(of('clean')).toEqual({ ...tick, cron: ['0 2 * * *'], args: [{ kind: 'clean' }] });
});

it('take times, sizes and on or off from the configuration: the variants of the guide', async () => {
  const schedules = await declared({
    schedules: {
      produce: { cron: '0 */4 * * *', batch: 12 },
      'consume-syntex-system': { cron: '0 3,15 * * *', batch: 5 },
      monitor: { enabled: false },
    },
  });
  const produce = schedules.get('produce')!;
  expect(produce.args).toEqual([{ kind: 'produce', batch: 12 }]);
  expect(definitionOf(produce).spec.calendars).toMatchObject([{ hour: [{ start: 0, end: 23, step: 4 }] }]);
  const consume = schedules.get('consume-syntex-system')!;
  expect(consume.args).toEqual([{ kind: 'consume', wrapper: 'syntex_system', batch: 5 }]);
  expect(definitionOf(consume).spec.calendars).toMatchObject([
    {
      hour: [
        { start: 3, end: 3 },
        { start: 15, end: 15 },
      ],
    },
  ]);
  expect(schedules.get('monitor')?.enabled).toBe(false);
});
