import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterEach, expect, it } from 'vitest';

import { faultsFromRules } from '../../src/sims/signz-mind/faults.js';
import { DailyMachine } from '../support/daily-machine.js';
import { rule } from '../support/server-faults.js';
import { waitUntil } from '../support/wait-until.js';

const payloadLimit = 16 * 1024;

let machine: DailyMachine | undefined;
afterEach(() => machine?.close());

interface RecordedHistory {
  readonly workflowId: string;
  readonly events: number;
  /** As JSON, payloads encoded. */
  readonly text: string;
  /** Payloads as they were before encoding. */
  readonly payloads: readonly string[];
}

async function histories(client: Client): Promise<RecordedHistory[]> {
  const found: RecordedHistory[] = [];
  for await (const { workflowId, runId } of client.workflow.list()) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const text = historyToJSON(history);
    found.push({ workflowId, events: history.events?.length ?? 0, text, payloads: payloadsIn(JSON.parse(text)) });
  }
  return found;
}

/** Everything in a history that is an encoded payload: results, inputs, heartbeats, memos, details. */
function payloadsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { metadata, data } = value as { metadata?: { encoding?: unknown }; data?: unknown };
  const own = metadata?.encoding !== undefined && typeof data === 'string' ? [decode(data)] : [];
  return [...own, ...Object.values(value).flatMap(payloadsIn)];
}

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8');
}

/** Files that hold these bytes, by path. */
async function filesWith(directory: string, bytes: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(paths.map((path) => readFile(path)));
  return paths.filter((_, index) => contents[index]?.includes(bytes));
}

/** Processes with these bytes in this file of /proc. */
function processesWith(file: 'cmdline' | 'environ', bytes: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/${file}`).includes(bytes);
    } catch {
      return false;
    }
  });
}

it('a cycle of 50 batches has a short history with small payloads', async () => {
  machine = await DailyMachine.create({ settings: { train: { simulatedSecondsPerStep: 0.01 } } });
  await machine.tower.startControl();
  await machine.tower.startGpu();
  await machine.uploadDay(0, { clients: 50, filesPerDay: 2 });

  const result = await (await machine.startCycle()).result();

  expect(result).toMatchObject({ outcome: 'trained', ingest: { listed: 50, imported: 50 } });
  await machine.delivered(result.deliveries);
  const recorded = await histories(machine.tower.client);
  expect(recorded.map(({ workflowId }) => workflowId).sort()).toEqual(['daily-cycle', ...result.deliveries]);
  for (const { events, payloads } of recorded) {
    expect(events).toBeGreaterThan(10);
    expect(events).toBeLessThan(200);
    expect(payloads.length).toBeGreaterThan(0);
    expect(Math.max(...payloads.map((payload) => Buffer.byteLength(payload)))).toBeLessThan(payloadLimit);
  }
});

it.each(['environment', 'file'] as const)(
  'a key from the %s is written nowhere, also when things go wrong',
  async (keyIn) => {
    machine = await DailyMachine.create({ keyIn, settings: { log: { level: 'debug' } } });
    const { tower, towerKey } = machine;
    await tower.startControl();
    await tower.startGpu();
    await tower.tower('schedule', 'apply');
    await machine.uploadDay(0, { clients: 2 });
    // Errors of the connection carry the request, and that carries the key.
    machine.faults = faultsFromRules([
      rule('/data/list_new_batches', { kind: 'reset', when: 'before-acting' }),
      rule('/data/download_batch/{name}', { kind: 'status', status: 500 }),
      rule('/data/mark_batch_processed/{name}', { kind: 'text-answer', body: towerKey, contentType: 'text/plain' }),
      rule('/model/upload', { kind: 'status', status: 401 }),
      rule('/model/upload', { kind: 'reset', when: 'after-acting' }),
    ]);

    const cycle = await machine.startCycle();
    const { process: trainer } = await machine.livingLaunch();
    const environment = readFileSync(`/proc/${trainer.trainerPid}/environ`, 'utf8');
    expect(environment).toContain('PATH=');
    expect(environment).not.toContain(towerKey);
    expect(processesWith('cmdline', towerKey)).toEqual([]);
    // The server's key is for the control worker; what is asked of /proc must be able to find something.
    expect(processesWith('environ', towerKey).length > 0).toBe(keyIn === 'environment');
    const result = await cycle.result();
    for (const id of result.deliveries) await waitUntil(`the end of ${id}`, () => ended(id));
    await (await machine.startCycle()).result();

    const recorded = await histories(tower.client);
    expect(recorded.length).toBeGreaterThan(2);
    expect(
      recorded.filter(({ text, payloads }) => [text, ...payloads].some((part) => part.includes(towerKey))),
    ).toEqual([]);
    const status = await tower.tower('status', '--json');
    const shown = await tower.tower('config', 'show', '--json');
    const report = await tower.tower('report', '--json');
    expect(report.exitCode).toBe(0);
    const said = [status, shown, report].flatMap(({ stdout, stderr }) => [stdout, stderr]);
    expect(said.join('')).not.toContain(towerKey);
    // Logs, run folders, ledger, packages, the report, the Temporal database, byte for byte.
    const known = keyIn === 'file' ? [machine.keyFile] : [];
    const written = await filesWith(tower.home, towerKey);
    expect(written.filter((path) => !path.startsWith(join(tower.home, 'signz-mind')))).toEqual(known);
  },
);

async function ended(id: string): Promise<boolean> {
  const description = await machine?.tower.client.workflow.getHandle(id).describe();
  return description?.status.name !== 'RUNNING';
}
