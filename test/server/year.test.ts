import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { startDailyTick } from '../../src/client.js';
import { configSchema } from '../../src/config/schema.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { versionOf } from '../../src/signz-mind/plan-training.js';
import type { Fault } from '../../src/sims/signz-mind/faults.js';
import { applySchedules, removeSchedules } from '../../src/temporal/schedules/apply-schedules.js';
import { comingTimes } from '../../src/temporal/schedules/coming-times.js';
import { loadSchedules } from '../../src/temporal/schedules/declaration.js';
import { DailyMachine } from '../support/daily-machine.js';
import { snippet } from '../support/signz-mind.js';
import { waitUntil } from '../support/wait-until.js';

const zones = ['America/New_York', 'Australia/Sydney', 'Europe/Berlin'] as const;
const listRoute = '/data/list_new_batches';
const markRoute = '/data/mark_batch_processed/{name}';
const uploadRoute = '/model/upload';

/** What a day of the year brings; a day that is not named brings nothing. */
interface Day {
  readonly uploads?: 'code' | 'unlabelled' | 'broken-rows' | 'no-batch';
  /** The candidate of this day is worse than the champion. */
  readonly rejected?: boolean;
  /** Faults of the Signz-Mind server by route, one a request; `always` for all requests of the day. */
  readonly faults?: Readonly<Record<string, readonly Fault[] | { readonly always: Fault }>>;
  /** A person cancels the cycle, which would wait for the server until the evening. */
  readonly cancelled?: boolean;
  readonly outcome?: 'trained' | 'failed' | 'cancelled';
  readonly reason?: RegExp;
}

const status = (code: number): Fault => ({ kind: 'status', status: code });
const days = new Map<number, Day>();
for (let day = 0; day < 365; day += 40) {
  const rejected = day % 120 === 80;
  const reason = rejected ? /not promoted: / : /samples, hyperparameters or base model are new/;
  days.set(day, { uploads: 'code', rejected, outcome: 'trained', reason });
  days.set(day + 9, { uploads: 'unlabelled' });
  days.set(day + 17, { uploads: 'broken-rows' });
}
const odd: Record<number, Day> = {
  5: { faults: { [listRoute]: [status(503)] } },
  40: { ...days.get(40), faults: { [uploadRoute]: [status(502)] } },
  49: { uploads: 'unlabelled', faults: { [markRoute]: { always: status(500) } } },
  44: { faults: { [listRoute]: [status(401)] }, outcome: 'failed', reason: /knows no such key \(401\)/ },
  70: {
    faults: { [listRoute]: [{ kind: 'replace', body: '<html>Wartung</html>', contentType: 'text/html' }] },
    ...{ outcome: 'failed', reason: /expected JSON, found text\/html, "<html>/ },
  },
  120: { ...days.get(120), faults: { [uploadRoute]: [{ kind: 'reset', when: 'after-acting' }] } },
  102: { uploads: 'no-batch' },
  150: {
    faults: { [listRoute]: { always: status(503) } },
    cancelled: true,
    outcome: 'cancelled',
    reason: /^cancelled on request/,
  },
  201: { faults: { [listRoute]: [{ kind: 'reset', when: 'before-acting' }] } },
};
for (const [day, what] of Object.entries(odd)) days.set(Number(day), what);

let machine: DailyMachine;
let year: Record<(typeof zones)[number], Date[]>;
let ticks: Date[];

beforeAll(async () => {
  const settings = {
    data: { heldOutShare: 0.4 },
    worker: { heartbeatSeconds: 0.5 },
    train: { simulatedSecondsPerStep: 0.001, hyperparameters: { epochs: 1, batchSize: 8 } },
  };
  machine = await DailyMachine.create({ inMemory: true, settings });
  year = await matchingTimes();
  ticks = year['Europe/Berlin'];
  const worse = [...days].flatMap(([day, { rejected }]) => (rejected === true ? [versionOfDay(day)] : []));
  const wishes = { TOWER_SIMULATED_EVALUATION: JSON.stringify({ worse }) };
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu(0, wishes)]);
});
afterAll(() => machine.close());

it.each(zones)('the schedule fires at 13:00 local time once on every day of the year in %s', (timeZone) => {
  const local = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const firstDay = Date.parse('2026-01-01T00:00:00Z');
  const expected = Array.from({ length: 365 }, (_, day) => {
    return `${new Date(firstDay + day * 86_400_000).toISOString().slice(0, 10)} 13:00`;
  });
  expect(year[timeZone].map((time) => local.format(time))).toEqual(expected);
  // The year has both days on which the clocks change, or this would prove nothing.
  expect(new Set(year[timeZone].map((time) => time.getUTCHours())).size).toBe(2);
});

it(
  '365 days: one cycle a day, no row lost, every batch settled, every day explained',
  { timeout: 600_000 },
  async () => {
    expect(ticks).toHaveLength(365);
    for (const [day, time] of ticks.entries()) await live(day, time.toISOString());
    machine.faults = undefined;

    const cycles = machine.readLedger((ledger) => ledger.cycles.list(400)).toReversed();
    expect(cycles.map(({ logicalTime }) => logicalTime)).toEqual(ticks.map((time) => time.toISOString()));
    for (const [day, { outcome, reason }] of cycles.entries()) {
      const expected = days.get(day);
      expect([day, outcome]).toEqual([day, expected?.outcome ?? 'nothing-to-train']);
      expect(reason, `day ${day}`).toMatch(expected?.reason ?? /^unchanged since adapter_ft_/);
    }

    const { check, batches, runs, undelivered } = machine.readLedger((ledger) => ({
      check: checkLedger(ledger),
      batches: ledger.batches.list(),
      runs: ledger.runs.list(100),
      undelivered: ledger.deliveries.undelivered(),
    }));
    expect(check.faults).toEqual([]);
    expect(batches.map(({ state }) => state)).toEqual(batches.map(() => 'marked'));
    expect(batches.filter(({ settledReason }) => settledReason === null)).toEqual([]);
    expect(undelivered).toEqual([]);
    const trained = [...days].filter(([, { outcome }]) => outcome === 'trained');
    expect(runs.map(({ version }) => version).toSorted()).toEqual(trained.map(([day]) => versionOfDay(day)).toSorted());

    // The same promoted versions and batches on the server, each of them once.
    const promoted = runs.filter(({ state }) => state === 'promoted').map(({ version }) => `${uploadRoute} ${version}`);
    const marked = batches.map(({ name }) => `${markRoute} ${name}`);
    expect([...new Set(machine.effects())].toSorted()).toEqual([...promoted, ...marked].toSorted());
    expect(promoted).toHaveLength(trained.length - trained.filter(([, { rejected }]) => rejected).length);
  },
);

/** One day: what editors upload, the tick of the schedule, its cycle and its deliveries. */
async function live(day: number, scheduledTime: string): Promise<void> {
  const { uploads, faults = {}, cancelled = false } = days.get(day) ?? {};
  await upload(day, uploads);
  const left = Object.fromEntries(
    Object.entries(faults).map(([route, planned]) => [route, 'always' in planned ? planned : [...planned]]),
  );
  machine.faults = ({ route }) => {
    const planned = left[route];
    return planned === undefined || !('always' in planned) ? planned?.shift() : planned.always;
  };
  const tick = await startDailyTick(machine.tower.client, { scheduledTime });
  if (cancelled) {
    const seen = machine.signz.operations().length;
    await waitUntil('a request that fails', () => machine.signz.operations().length > seen);
    await tick.cancel();
  }
  const result = await tick.result().catch(() => undefined);
  if (result?.outcome === 'ran') await machine.delivered(result.cycle.deliveries);
}

async function upload(day: number, what: Day['uploads']): Promise<void> {
  const row = (index: number, fields: Record<string, unknown> = {}) =>
    snippet({ uuid: `day-${day}-${index}`, path: `/home/ana/${day}/${index}.py`, quality_label: 'neutral', ...fields });
  const rows = Array.from({ length: 20 }, (_, index) => row(index));
  if (what === 'code') await machine.uploadDay(day, { clients: 1, filesPerDay: 30 });
  if (what === 'unlabelled') await machine.upload(rows.join('\n'));
  if (what === 'broken-rows')
    await machine.upload([...rows, '{"type":"snippet"', row(0), row(99, { uuid: '' })].join('\n'));
  if (what === 'no-batch') await machine.upload('no batch');
}

function versionOfDay(day: number): string {
  return versionOf(ticks[day]?.toISOString() ?? '');
}

/** The times at which the real server fires the daily schedule in the local year 2026, in each zone. */
async function matchingTimes(): Promise<typeof year> {
  const { client, home } = machine.tower;
  const log = pino({ level: 'silent' });
  const found: [string, Date[]][] = [];
  for (const timezone of zones) {
    const declared = await loadSchedules(configSchema.parse({ schedules: { timezone } }).schedules);
    await applySchedules(client, declared, { stateDirectory: home, log });
    const daily = declared.find(({ name }) => name === 'daily');
    if (daily === undefined) throw new Error('there is no daily schedule');
    const period = { from: new Date('2025-12-31T00:00:00Z'), to: new Date('2027-01-02T00:00:00Z') };
    const times = await comingTimes(client, daily, period);
    const yearOf = new Intl.DateTimeFormat('en', { timeZone: timezone, year: 'numeric' });
    found.push([timezone, times.filter((time) => yearOf.format(time) === '2026')]);
  }
  // The test drives the ticks itself.
  await removeSchedules(client, { log });
  return Object.fromEntries(found) as typeof year;
}
