import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { quarantinedRows, rowVersions } from '../../src/signz-mind/ledger/row-history.js';
import type { Fault } from '../../src/sims/signz-mind/faults.js';
import { DailyMachine } from '../support/daily-machine.js';
import { feedback, snippet } from '../support/signz-mind.js';
import { waitUntil } from '../support/wait-until.js';

const listRoute = '/data/list_new_batches';
const downloadRoute = '/data/download_batch/{name}';

let machine: DailyMachine;
let day = 0;

beforeAll(async () => {
  machine = await DailyMachine.create();
  await machine.tower.startControl();
});
afterEach(() => {
  machine.faults = undefined;
});
afterAll(() => machine.close());

const untaught = (fields: Record<string, unknown>) => snippet({ quality_label: 'neutral', ...fields });

it('no training data: the cycle trains nothing, says why and what would help, and marks the batch', async () => {
  const name = await machine.upload(untaught({ uuid: 'alone' }));
  const { outcome, reason, marked } = await runCycle();
  expect({ outcome, marked }).toEqual({ outcome: 'nothing-to-train', marked: 1 });
  expect(reason).toMatch(/^No training samples: no row in the ledger fits/);
  expect(machine.readLedger((ledger) => ledger.batches.get(name)?.state)).toBe('marked');
});

it('rows of every bad kind are named by batch, line and cause; the good ones are stored, and none is lost', async () => {
  const good = Array.from({ length: 76 }, (_, index) => untaught({ uuid: `good-${index}` }));
  const bad: [string | Buffer, RegExp][] = [
    ['{"type":"snippet"', /^not JSON/],
    ['[1]', /^expected a JSON object, found a list/],
    [untaught({ uuid: 'nul', content: 'a\0b' }), /^content contains a NUL character/],
    [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), /^not UTF-8/],
  ];
  const repeated = [untaught({ uuid: 'good-0' }), untaught({ uuid: 'good-1', content: 'other' })];
  const lines = [...good, ...bad.map(([line]) => line), ...repeated].map((line) => Buffer.from(line));
  const withMark = Buffer.concat([
    Buffer.from('\ufeff'),
    ...lines.flatMap((line, index) => (index === 0 ? [line] : [Buffer.from('\n'), line])),
  ]);
  const name = await machine.upload(withMark);
  const again = await machine.upload(untaught({ uuid: 'good-2' }));

  const { ingest } = await runCycle();

  expect(ingest).toMatchObject({ imported: 2, rows: { new: 76, duplicate: 2, stale: 1, quarantined: 4 } });
  const { rows, check, versions } = machine.readLedger((ledger) => ({
    rows: quarantinedRows(ledger.reader, { batch: name }),
    versions: rowVersions(ledger.reader, 'good-2'),
    check: checkLedger(ledger),
  }));
  expect(rows.map(({ line }) => line)).toEqual([77, 78, 79, 80]);
  for (const [index, [, reason]] of bad.entries()) expect(rows[index]?.reason).toMatch(reason);
  expect(versions).toMatchObject([
    { batch: name, line: 3, state: 'stored' },
    { batch: again, line: 1, state: 'duplicate', by: { batch: name, line: 3 } },
  ]);
  expect(check).toMatchObject({ faults: [] });
});

it('an editor whose clock is years ahead loses no row: what it supersedes can be seen', async () => {
  await machine.upload(untaught({ uuid: 'clock', last_modified_utc: '2039-01-01T00:00:00.000Z', content: 'ahead' }));
  await machine.upload(untaught({ uuid: 'clock', last_modified_utc: '2026-01-12T10:00:00.000Z', content: 'right' }));
  expect((await runCycle()).ingest.rows).toMatchObject({ new: 1, stale: 1 });
  const versions = machine.readLedger((ledger) => rowVersions(ledger.reader, 'clock'));
  expect(versions.map(({ state }) => state).toSorted()).toEqual(['stale', 'stored']);
  expect(machine.readLedger((ledger) => checkLedger(ledger).faults)).toEqual([]);
});

it('files that are no batches stop nobody, and their reason names them', async () => {
  const names = [
    await machine.upload(''),
    await machine.upload(gzipSync(untaught({ uuid: 'packed' }))),
    await machine.upload('<html>login</html>'),
  ];
  const good = await machine.upload(feedback({ uuid: 'beside', user_feedback_type: 'correction_bad' }));
  const { ingest } = await runCycle();
  expect(ingest).toMatchObject({ imported: 1, postponedCount: 3 });
  expect(ingest.postponed.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  const reasons = names.map((name) => ingest.postponed.find((entry) => entry.name === name)?.reason);
  expect(reasons).toEqual([
    `${names[0]}: the file is empty`,
    expect.stringMatching(/none of its \d+ lines is a row: not a batch, compressed/) as string,
    expect.stringContaining('none of its 1 lines is a row') as string,
  ]);
  expect(machine.readLedger((ledger) => ledger.batches.get(good)?.state)).toBe('marked');
  expect(existsSync(join(machine.tower.paths.batches, names[2] ?? ''))).toBe(true);
});

it('a name that leads out of the folder is not followed, and is reported', async () => {
  const body = JSON.stringify({ new_batch_files: ['../../x', '../../x.jsonl', 'a/b.jsonl'] });
  const replace: Fault = { kind: 'replace', body, contentType: 'application/json' };
  machine.faults = ({ route }) => (route === listRoute ? replace : undefined);
  const { ingest } = await runCycle();
  const refused = ingest.postponed.filter(({ reason }) =>
    reason.startsWith('its name is not accepted: expected letters'),
  );
  expect(refused.map(({ name }) => name).toSorted()).toEqual(['../../x', '../../x.jsonl', 'a/b.jsonl']);
  expect(machine.signz.operations().some(({ route, name }) => route === downloadRoute && name?.includes('x'))).toBe(
    false,
  );
});

it.each([
  ['a wrong key', { kind: 'status', status: 401 }, /knows no such key \(401\).*Next: Put a valid key/],
  [
    'HTML for JSON',
    { kind: 'replace', body: '<html>Login</html>', contentType: 'text/html' },
    /expected JSON, found text\/html, "<html>Login<\/html>".*Next: Check that `server.url`/,
  ],
] satisfies [string, Fault, RegExp][])(
  '%s ends the cycle with the cause and the next step',
  async (_what, fault, says) => {
    machine.faults = ({ route }) => (route === listRoute ? fault : undefined);
    await expect(runCycle()).rejects.toThrow();
    expect(machine.lastCycle()).toMatchObject({ outcome: 'failed' });
    expect(machine.lastCycle()?.reason).toMatch(says);
  },
);

it('an unreachable server: the cycle waits, says for what, and goes on when it is back', async () => {
  await machine.upload(untaught({ uuid: 'patient' }));
  machine.faults = ({ route }) => (route === listRoute ? { kind: 'reset', when: 'before-acting' } : undefined);
  const cycle = await start();
  const waiting = await waitUntil('a failed attempt', async () => {
    const { activities } = await takeSnapshot(machine.tower.client, 'daily-cycle');
    return activities.find(({ lastFailure }) => lastFailure !== null);
  });
  expect(waiting.lastFailure?.message).toMatch(/the connection failed/);
  machine.faults = undefined;
  expect((await cycle.result()).ingest.rows.new).toBe(1);
});

function start() {
  day += 1;
  return machine.startCycle({ logicalTime: new Date(Date.UTC(2026, 0, 12 + day, 13)).toISOString() });
}

async function runCycle() {
  return (await start()).result();
}
