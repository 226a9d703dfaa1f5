import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { recordRun } from '../../src/activities/character/record-run.js';
import { decisionOf } from '../../src/cli/character/approve-character.js';
import { sayHowToGoOn } from '../../src/cli/character/go-on.js';
import { runsOnDisk } from '../../src/cli/character/runs-on-disk.js';
import { createOutput } from '../../src/cli/output.js';
import { towerSearchAttributes } from '../../src/temporal/search-attributes.js';
import { characterFolders, preparedRun } from '../support/character-run.js';
import { runTower } from '../support/run-tower.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const tower = (...args: string[]) => runTower(['character', ...args], { TOWER_HOME: folder });
const elara = ['--name', 'Elara', '--description', '1girl, brown hair'];

interface Plan {
  readonly seed: number;
  readonly images: readonly { readonly index: number; readonly seed: number; readonly prompt: string }[];
  readonly coverage: readonly { readonly axis: string; readonly values: readonly { readonly count: number }[] }[];
}

async function planOf(...args: string[]): Promise<Plan> {
  const { exitCode, stdout } = await tower('plan', ...args, '--json');
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as Plan;
}

describe('tower character plan', () => {
  it('shows forty images and every value of every axis, the same for the same seed (W6)', async () => {
    const plan = await planOf(...elara);
    expect(plan.images).toHaveLength(40);
    expect(plan.coverage.map(({ values }) => values.length)).toEqual([17, 12, 10, 8, 9]);
    for (const { values } of plan.coverage) expect(Math.min(...values.map(({ count }) => count))).toBeGreaterThan(0);
    expect(await planOf(...elara)).toEqual(plan);
    expect((await planOf(...elara, '--seed', '2')).images).not.toEqual(plan.images);
  });

  it('takes a job file with the keys of the original, and flags before it (W20)', async () => {
    const file = join(folder, 'job.json');
    const task = { character_name: 'Mira', description: '1girl, red hair', character_tags: ['1girl'], network_dim: 16 };
    await writeFile(file, JSON.stringify({ ...task, count: 3 }));
    const plan = await planOf('--job', file, '--count', '2');
    expect(plan.images).toHaveLength(2);
    expect(plan.images[0]?.prompt).toContain('red hair');
  });
});

describe('what does not fit of a job', () => {
  it('is named all at once, each with its path, what was found and what is expected', async () => {
    const wrong = ['--count', '0', '--size', '65x64', '--priority', 'fast', '--with', 'kohya.train_batch_size=0'];
    wrong.push('--base-model', '/models/x.safetensors', '--base-model-kind', 'sd3');
    const { exitCode, stdout } = await tower('start', ...elara, ...wrong, '--with', 'foo=1', '--json');
    expect(exitCode).toBe(2);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    expect(error.code).toBe('CHARACTER_JOB_INVALID');
    const lines = error.message.split('\n').slice(1);
    expect(lines.map((line) => line.split(',')[0]).sort()).toEqual([
      'baseModelKind: found "sd3"',
      'count: found 0',
      'foo: found 1',
      'kohya.train_batch_size: found 0',
      'priority: found "fast"',
      'width: found 65',
    ]);
    for (const line of lines) expect(line).toMatch(/, (expected|must) /);
  });

  it('is found before anything is asked of a server (W13, W22, W23)', async () => {
    const cases = [
      ['start', ...elara, '--with', 'kohya.netwrk_dim=3'],
      ['start', ...elara, '--with', 'reference_image=a.png'],
      ['train', '--name', 'Elara'],
      ['start', '--name', '\u0000', '--description', 'x'],
    ];
    for (const args of cases) {
      const { exitCode, stdout } = await tower(...args, '--json');
      expect([args, exitCode, stdout]).toEqual([args, 2, expect.stringContaining('CHARACTER_JOB_INVALID')]);
    }
    const { exitCode, stderr } = await tower('start', '--run', 'character_elara_v1', '--count', '3');
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('count')]);
  });
});

describe('a decision on the command line', () => {
  it('approves, unless an image is to be rendered again', async () => {
    expect(await decisionOf({})).toEqual({ approve: true });
    expect(await decisionOf({ reject: '3, 7', reason: 'hands' })).toEqual({
      approve: false,
      reject: [
        { index: 3, reason: 'hands' },
        { index: 7, reason: 'hands' },
      ],
    });
    expect(await decisionOf({ reject: '3', final: true, by: 'Ana' })).toMatchObject({ approve: true, by: 'Ana' });
    expect(await decisionOf({ caption: ['5=elara, a=b'], notYet: true })).toEqual({
      approve: false,
      captions: [{ index: 5, caption: 'elara, a=b' }],
    });
    await expect(decisionOf({ reject: ' , ' })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(decisionOf({ final: true })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(decisionOf({ reject: 'three' })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(decisionOf({ reject: '3', final: true, notYet: true })).rejects.toMatchObject({ code: 'USAGE' });
    const captions = join(folder, 'captions.json');
    await writeFile(captions, '{"5": "elara, smiling"}');
    expect(await decisionOf({ captions })).toEqual({
      approve: true,
      captions: [{ index: 5, caption: 'elara, smiling' }],
    });
    await writeFile(captions, '{}');
    await expect(decisionOf({ captions })).rejects.toMatchObject({ code: 'USAGE' });
  });
});

it('that a run goes on is said where that could help', async () => {
  const describe = () => Promise.resolve({ typedSearchAttributes: new TypedSearchAttributes([version]) });
  const client = { workflow: { getHandle: () => ({ describe }) } } as unknown as Client;
  const version = { key: towerSearchAttributes.version, value: 'character_elara_v1' };
  const saidAfter = async (code: string) => {
    const said: string[] = [];
    const output = { ...createOutput(false), say: (text: string) => void said.push(text) };
    const failure = { code, message: 'it failed', next: null };
    await sayHowToGoOn(client, { workflowId: 'character-lora/elara/1', status: 'failed', failure }, output);
    return said;
  };
  expect(await saidAfter('SCORER_FAILED')).toEqual([expect.stringContaining('--run elara/1')]);
  for (const code of ['TOO_FEW_IMAGES', 'IMAGES_ALL_REJECTED']) expect(await saidAfter(code)).toEqual([]);
});

it('runs that the server does not know any more are found on the disk', async () => {
  const folders = await characterFolders();
  try {
    await recordRun(await preparedRun(folders), { outcome: 'failed', reason: 'a test' });
    await preparedRun(folders);
    await preparedRun(folders, { name: 'Mira' });
    // One that was never prepared to its end.
    await mkdir(join(folders.runs, 'character_nobody_v1'));
    const { paths: damaged } = await preparedRun(folders, { name: 'Lost' });
    await writeFile(damaged.job, '');
    expect(await runsOnDisk(folders.runs, new Set(['character_elara_v2']))).toMatchObject([
      { run: 'character_elara_v1', name: 'Elara', status: 'failed', dataset: join(folders.datasets, 'Elara-v1') },
      // It hides no other run.
      { run: 'character_lost_v1', status: 'unreadable', fault: expect.stringContaining(damaged.job) as string },
      { run: 'character_mira_v1', name: 'Mira', status: 'unfinished', endedAt: null, priority: 'normal' },
    ]);
  } finally {
    await folders.remove();
  }
});
