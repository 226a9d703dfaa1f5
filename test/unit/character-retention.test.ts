import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { applyCharacterRetention } from '../../src/character/retention.js';
import { writeJsonDurable } from '../../src/files/durable-write.js';
import { exists } from '../../src/files/exists.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { writeRunOwner, type RunOwner } from '../../src/training/run-owner.js';

const log = pino({ level: 'silent' });
const limits = { checkpointDays: 7, failedRunDays: 30 };
const ended = new Date('2026-03-01T12:00:00Z');
const days = (count: number) => new Date(ended.getTime() + count * 86_400_000);
let runsDirectory: string;

beforeEach(async () => {
  runsDirectory = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterEach(() => rm(runsDirectory, { recursive: true, force: true }));

const files = {
  lora: 'output/elara_lora.safetensors',
  epoch: 'output/elara_lora-000001.safetensors',
  state: 'output/elara_lora-000001-state/train_state.json',
  lowerState: 'output-rung-2/elara_lora-000001-state/train_state.json',
  sample: 'output/sample/elara_lora_e000001_00_20260301120000.png',
  broken: 'broken/elara_lora-000002-state/train_state.json',
  journal: 'images.jsonl',
};

async function makeRun(
  run: string,
  outcome: string | undefined,
): Promise<(name: keyof typeof files) => Promise<boolean>> {
  const directory = join(runsDirectory, run);
  for (const file of Object.values(files)) {
    await mkdir(join(directory, file, '..'), { recursive: true });
    await writeFile(join(directory, file), 'x');
  }
  await writeFile(join(directory, 'job.json'), '{}');
  const end = { outcome, reason: 'a test', endedAt: ended.toISOString() };
  if (outcome !== undefined) await writeFile(join(directory, 'outcome.json'), JSON.stringify(end));
  return (name) => exists(join(directory, files[name]));
}

const open = new Set<string>();
const isOpen = ({ workflowId }: RunOwner) => Promise.resolve(open.has(workflowId));
const apply = (now: Date) => applyCharacterRetention({ runsDirectory, limits, now, isOpen }, { log });
const own = (run: string, workflowId: string) =>
  writeRunOwner(runDirectory(join(runsDirectory, run)), { workflowId, workflowRunId: 'r' });

it('W18: keeps LoRAs, samples and records of a finished training, and removes its states after their time', async () => {
  const has = await makeRun('character_elara_v1', 'succeeded');
  expect(await apply(days(6))).toBe(0);
  expect(await apply(days(8))).toBe(3);
  for (const kept of ['lora', 'epoch', 'sample', 'journal'] as const) expect(await has(kept)).toBe(true);
  for (const gone of ['state', 'lowerState', 'broken'] as const) expect(await has(gone)).toBe(false);
  expect(await apply(days(8))).toBe(0);
});

it('keeps what a run that failed could go on from, for a longer time', async () => {
  const has = await makeRun('character_elara_v1', 'failed');
  expect(await apply(days(29))).toBe(0);
  expect(await apply(days(31))).toBe(3);
  expect(await has('lora')).toBe(false);
  expect(await has('journal')).toBe(true);
});

it('keeps the LoRAs of a finished training also when the run failed afterwards, so that it can go on', async () => {
  const has = await makeRun('character_elara_v1', 'failed');
  await writeJsonDurable(runDirectory(join(runsDirectory, 'character_elara_v1')).settled, {
    ...{ version: 1, outcome: 'done', driver: 'kohya', simulated: false, launches: 1, memoryRung: 0 },
    artefact: { path: '/x', sha256: 'a'.repeat(64), bytes: 5 },
    steps: { planned: 1, executed: 1, redone: 0, segments: [{ launch: 1, from: 1, to: 1 }] },
    ...{ trainLoss: null, heldOutLoss: null, settledAt: ended.toISOString() },
  });
  await apply(days(1_000));
  for (const kept of ['lora', 'epoch', 'sample', 'journal'] as const) expect(await has(kept)).toBe(true);
  expect(await has('state')).toBe(false);
});

it('a run with an unreadable record is left alone, and holds up nothing; a server that does not answer is no record', async () => {
  const has = await makeRun('character_mira_v1', 'succeeded');
  const records = ['outcome.json', 'owner.json', 'launches/0001/process.json'];
  const damaged = await Promise.all(
    records.map(async (record, index) => {
      const run = `character_elara_v${index + 1}`;
      const hasStill = await makeRun(run, 'failed');
      await mkdir(join(runsDirectory, run, record, '..'), { recursive: true });
      await writeFile(join(runsDirectory, run, record), '');
      return hasStill;
    }),
  );
  expect(await apply(days(31))).toBe(3);
  expect(await has('state')).toBe(false);
  for (const hasStill of damaged) expect(await hasStill('state')).toBe(true);
  await own('character_mira_v1', 'character-lora/mira/1');
  const away = new Error('no server');
  const isUnknown = () => Promise.reject(away);
  const input = { runsDirectory, limits, now: days(31), isOpen: isUnknown };
  await expect(applyCharacterRetention(input, { log })).rejects.toBe(away);
});

it('leaves alone what has not ended, and what is no character run', async () => {
  const has = await makeRun('character_elara_v1', undefined);
  const resumed = await makeRun('character_elara_v2', 'failed');
  await own('character_elara_v2', 'character-lora/elara/3');
  open.add('character-lora/elara/3');
  await mkdir(join(runsDirectory, 'adapter_ft_20260301_120000', 'output'), { recursive: true });
  expect(await apply(days(1_000))).toBe(0);
  expect([await has('state'), await resumed('state')]).toEqual([true, true]);
  expect(await exists(join(runsDirectory, 'adapter_ft_20260301_120000', 'output'))).toBe(true);
});

it('knows the end of a run whose workflow was terminated, and removes what a crash left in the making', async () => {
  const has = await makeRun('character_elara_v1', undefined);
  await own('character_elara_v1', 'character-lora/elara/1');
  await mkdir(join(runsDirectory, '.reserve-1'));
  await utimes(join(runsDirectory, 'character_elara_v1'), ended, ended);
  await utimes(join(runsDirectory, '.reserve-1'), ended, ended);
  open.add('character-lora/elara/1');
  expect(await apply(days(0.5))).toBe(0);
  expect(await apply(days(29))).toBe(1);
  expect(await apply(days(31))).toBe(0);
  open.clear();
  expect(await apply(days(29))).toBe(0);
  expect(await apply(days(31))).toBe(3);
  expect([await has('state'), await has('journal')]).toEqual([false, true]);
});
