import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa, type ResultPromise } from 'execa';
import { afterEach, expect, it } from 'vitest';

import type { DemoPrompts } from '../../src/cli/demo/demo-prompts.js';
import type { CharacterLoraResult } from '../../src/client.js';
import { packageRoot } from '../../src/files/package-root.js';
import { readProcess } from '../../src/gpu/process-table.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { processesBelow } from '../support/up-process.js';
import { waitUntil } from '../support/wait-until.js';

let home: string;
let demo: ResultPromise | undefined;

afterEach(async () => {
  demo?.kill('SIGINT');
  await demo;
  await rm(home, { recursive: true, force: true });
});

interface DemoResult {
  readonly simulated: boolean;
  readonly days: readonly {
    readonly outcome: string;
    readonly ingest: { readonly imported: number };
    readonly marked: number;
    readonly uploadedBytes: number;
    readonly training: {
      readonly executedSteps: number;
      readonly plannedSteps: number;
      readonly redoneSteps: number;
      readonly launches: number;
    };
  }[];
  readonly survivor: { readonly pid: number; readonly atStep: number };
  readonly character: CharacterLoraResult;
  readonly prompts: DemoPrompts;
  readonly adapters: readonly string[];
  readonly uiAddress: string;
}

it('shows two simulated days with a killed worker, stays up when asked, and leaves no process', async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  const { path } = await testTemporalCli();
  const command = [join(packageRoot, 'dist', 'client.js'), 'demo', '--simulate', '--keep', '--json', '--home', home];
  const child = execa(process.execPath, [...command, '--set', `temporal.cli=${path}`], {
    env: { NO_COLOR: '1' },
    reject: false,
  });
  demo = child;
  let output = '';
  let talk = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (talk += chunk.toString()));
  await waitUntil('the end of the two days', () => talk.includes('Still running') || child.exitCode !== null, 170_000);

  const result = JSON.parse(output) as DemoResult;

  expect(result.simulated).toBe(true);
  expect(result.days).toHaveLength(2);
  for (const { outcome, ingest, training } of result.days) {
    expect(outcome).toBe('trained');
    expect(ingest.imported).toBeGreaterThan(0);
    expect(training).toMatchObject({ executedSteps: training.plannedSteps, redoneSteps: 0, launches: 1 });
  }
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  expect(sum(result.days.map(({ uploadedBytes }) => uploadedBytes))).toBeGreaterThan(0);
  expect(sum(result.days.map(({ marked }) => marked))).toBe(sum(result.days.map(({ ingest }) => ingest.imported)));
  expect(result.survivor.atStep).toBeGreaterThan(0);
  expect(result.character).toMatchObject({
    outcome: 'simulated',
    images: { accepted: 12 },
    lora: { outcome: 'published' },
  });
  expect(result.character.yields).toBeGreaterThan(0);
  const { produced, consumed, table } = result.prompts;
  expect(produced).toMatchObject({ outcome: 'produced', written: 20, simulated: true });
  expect(consumed.processed + consumed.low).toBe(20);
  expect(table.rows).toHaveLength(28);
  expect(result.adapters.length).toBeGreaterThan(0);
  expect(result.adapters.filter((file) => !existsSync(file))).toEqual([]);
  // Plain lines where no terminal is.
  expect(talk).not.toContain('\u001b[');
  expect((await fetch(result.uiAddress)).status).toBe(200);

  const parts = processesBelow(child.pid ?? 0);
  expect(parts.length).toBeGreaterThan(2);
  child.kill('SIGINT');
  expect((await child).exitCode).toBe(0);
  await waitUntil('the end of all parts', () => !parts.some((pid) => readProcess(pid)?.alive === true));
});
