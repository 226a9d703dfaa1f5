import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { ingestBatches } from '../../src/signz-mind/ingest/ingest-batches.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import { dumpLedger } from '../support/ledger-dump.js';
import { feedback, options, snippet, SignzWorld, towerKey } from '../support/signz-mind.js';

const killer = fileURLToPath(new URL('fixtures/die-at-statement.js', import.meta.url));
const script = fileURLToPath(new URL('fixtures/ingest.js', import.meta.url));

let world: SignzWorld;
let undisturbed: string;
let statements: number;

beforeAll(async () => {
  world = await SignzWorld.create();
  const rows = (batch: number) => [
    ...Array.from({ length: 3 }, (_, index) => snippet({ uuid: `b${batch}-${index}` })),
    // The same snippet in every batch, newer each time; a bad row; the same feedback again and again.
    snippet({ uuid: 'common', content: `version ${batch}`, last_modified_utc: `2025-07-01T1${batch}:00:00.000Z` }),
    '{"type":"snippet"',
    feedback({ uuid: 'common' }),
  ];
  for (const batch of [0, 1, 2]) await world.upload(rows(batch).join('\n'));
  await world.upload('no batch at all');
  expect((await ingest('undisturbed', 0)).exitCode).toBe(0);
  statements = statSync(join(world.directory, 'undisturbed', 'statements')).size;
  undisturbed = dumpLedger(ledgerOf('undisturbed'));
});
afterAll(() => world.close());

it('killed at any of 6 points of the ledger’s work and repeated, it ends in the same ledger', async () => {
  const points = Array.from({ length: 6 }, (_, index) => 1 + Math.floor((index * (statements - 1)) / 5));
  for (const point of points) {
    const name = `killed-at-${point}`;
    expect((await ingest(name, point)).signal, name).toBe('SIGKILL');
    await repeat(name);
    expect(dumpLedger(ledgerOf(name)), name).toBe(undisturbed);
  }
});

it('killed again and again, it still gets there', async () => {
  let attempts = 0;
  // Each attempt gets a little further; the first statements of every start are the opening of the ledger.
  for (let point = 12; (await ingest('stubborn', point)).signal === 'SIGKILL'; point += 12) attempts += 1;
  expect(attempts).toBeGreaterThan(1);
  expect(dumpLedger(ledgerOf('stubborn'))).toBe(undisturbed);
  const ledger = Ledger.openReadOnly(ledgerOf('stubborn'));
  expect(checkLedger(ledger)).toMatchObject({ batches: 3, lines: 18, faults: [] });
  ledger.close();
});

async function ingest(name: string, at: number) {
  const directory = join(world.directory, name);
  const counter = join(directory, 'statements');
  mkdirSync(directory, { recursive: true });
  writeFileSync(counter, '');
  return execa(process.execPath, ['--import', killer, script, world.server.address, directory, towerKey], {
    env: { DIE_AT_STATEMENT: String(at), STATEMENT_COUNTER: counter },
    reject: false,
  });
}

/** The next attempt, in a process that lives. */
async function repeat(name: string): Promise<void> {
  const ledger = Ledger.open(ledgerOf(name));
  const batchDirectory = join(world.directory, name, 'batches');
  await ingestBatches({ client: world.client, ledger, batchDirectory, cycle: '2025-07-01T13:00:00Z' }, options);
  ledger.close();
}

function ledgerOf(name: string): string {
  return join(world.directory, name, 'ledger.db');
}
