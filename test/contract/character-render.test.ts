import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { makeRun } from '../../src/activities/character/prepare-run.js';
import { renderDataset, type RenderingProgress } from '../../src/activities/character/render-dataset.js';
import { readComfyuiRecord } from '../../src/character/comfyui-record.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { readJournal } from '../../src/character/journal.js';
import { createComfyuiClient, type ComfyuiClient } from '../../src/comfyui/client.js';
import { startComfyuiServer, type ComfyuiServer } from '../../src/sims/comfyui/server.js';
import { smallJob } from '../support/character-machine.js';

const log = pino({ level: 'silent' });
const stranger = new AbortController();
let folder: string;
let server: ComfyuiServer;
let client: ComfyuiClient;
let run: CharacterRun;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  server = await startComfyuiServer({ directory: join(folder, 'comfyui'), settings: { renderMs: 5 } });
  client = createComfyuiClient({ baseUrl: server.address, log });
  for (const made of ['datasets', 'runs']) await mkdir(join(folder, made));
  run = await made();
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

function made(fields: Readonly<Record<string, unknown>> = {}) {
  const [datasets, runs] = [join(folder, 'datasets'), join(folder, 'runs')];
  const job = parseCharacterJob({ ...smallJob, ...fields });
  return makeRun({ job, datasets, runs, owner: job.name, run: undefined });
}

function render(
  shouldStop: () => { readonly reason: string } | undefined = () => undefined,
  seen: RenderingProgress[] = [],
) {
  const options = { signal: stranger.signal, log, onProgress: (progress: RenderingProgress) => seen.push(progress) };
  return renderDataset({ run, client, awayMs: 20_000, shouldStop }, options);
}

const accepted = async () =>
  [...(await readJournal(run.paths.journal)).accepted.keys()].sort((one, other) => one - other);
const all = Array.from({ length: smallJob.count }, (_, index) => index + 1);

it('renders what a run lacks, and nothing twice', async () => {
  let left = 4;
  const first = await render(() => (left-- > 0 ? undefined : { reason: 'somebody more urgent' }));
  expect(first.stopped).toBe('somebody more urgent');
  expect(first.accepted).toBeLessThan(smallJob.count);

  const seen: RenderingProgress[] = [];
  const second = await render(undefined, seen);
  expect(second).toMatchObject({ planned: 12, accepted: 12, rejected: 0, stopped: null, simulated: true });
  expect(await accepted()).toEqual(all);
  expect(await readdir(run.dataset.images)).toHaveLength(12);
  expect(seen.at(-1)).toMatchObject({ stage: 'rendering', accepted: 12, planned: 12 });
  expect(server.statistics().renders).toHaveLength(12);
  expect(await readComfyuiRecord(run.paths.directory)).toMatchObject({ simulated: true });
});

it('what ComfyUI had saved before everything was switched off is taken instead of rendered again (W11)', async () => {
  let left = 7;
  await render(() => (left-- > 0 ? undefined : { reason: 'the power goes' }));
  const lines = (await readFile(run.paths.journal, 'utf8')).trimEnd().split('\n');
  const saved = lines.length;
  expect(saved).toBeGreaterThan(2);
  // The two that came last did not get as far as the journal.
  for (const line of lines.slice(-2)) await rm(join(run.dataset.folder, (JSON.parse(line) as { file: string }).file));
  await writeFile(run.paths.journal, `${lines.slice(0, -2).join('\n')}\n`);
  await server.close();
  server = await startComfyuiServer({ directory: join(folder, 'comfyui'), settings: { renderMs: 5 } });
  client = createComfyuiClient({ baseUrl: server.address, log });

  expect(await render()).toMatchObject({ accepted: 12, rejected: 0, stopped: null });
  expect(await accepted()).toEqual(all);
  expect(server.statistics().renders).toHaveLength(12 - saved);
  const { recoveries } = await readJournal(run.paths.journal);
  expect(recoveries.get('found-output')).toMatchObject({ count: 2 });
});

it('refuses bad images and renders them again with another seed (W2, W3)', async () => {
  server.addFaults([
    { prompt: { after: 1 }, fault: { kind: 'output', output: 'blank' } },
    { prompt: { after: 3 }, fault: { kind: 'output', output: 'wrong-size' } },
    { prompt: { match: '_v1/7-0' }, times: 3, fault: { kind: 'error' } },
  ]);
  const turn = await render();
  expect(turn).toMatchObject({ accepted: 12, rejected: 3, stopped: null });
  const { rejected, accepted: kept } = await readJournal(run.paths.journal);
  expect(rejected.map(({ code }) => code).sort()).toEqual(['blank', 'failed', 'wrong-size']);
  for (const { index, seed } of rejected) expect(kept.get(index)?.seed).not.toBe(seed);
});

it('fails at once when ComfyUI can make none of the images', async () => {
  server.addFaults([{ prompt: {}, times: 100, fault: { kind: 'error', message: 'the model is broken' } }]);
  await expect(render()).rejects.toMatchObject({ code: 'RENDER_FAILED', retryable: false });
});

it('ends before hours are spent when every image is rejected for the same reason (W8)', async () => {
  run = await made({ name: 'Blank', minImages: 4 });
  server.addFaults([{ prompt: {}, times: 1000, fault: { kind: 'output', output: 'blank' } }]);
  await expect(render()).rejects.toMatchObject({
    ...{ code: 'IMAGES_ALL_REJECTED', retryable: false, details: { rejected: 10, count: 12 } },
    message: expect.stringMatching(/blank/) as string,
    next: expect.stringContaining(run.dataset.rejected) as string,
  });
  // Of 48, with what was under way at the end.
  expect(server.statistics().renders.length).toBeLessThan(20);
  // A run that goes on spends nothing more.
  const before = server.statistics().renders.length;
  await expect(render()).rejects.toMatchObject({ code: 'IMAGES_ALL_REJECTED' });
  expect(server.statistics().renders).toHaveLength(before);
});

it('ends as soon as too few images can be accepted, and not before (W8)', async () => {
  run = await made({ name: 'Few', count: 40 });
  const flat = (index: number) => ({
    prompt: { match: `_v1/${index}-` },
    times: 1000,
    fault: { kind: 'output', output: 'blank' } as const,
  });
  server.addFaults([2, 4, 6, 8, 10].map(flat));
  await expect(render()).rejects.toMatchObject({
    ...{ code: 'TOO_FEW_IMAGES', retryable: false, details: { lost: 5, minImages: 36, count: 40 } },
    message: expect.stringMatching(/blank|deviat/) as string,
  });
  const { rejected } = await readJournal(run.paths.journal);
  const tries = [2, 4, 6, 8, 10].map((index) => rejected.filter((entry) => entry.index === index).length);
  expect(tries).toEqual([4, 4, 4, 4, 4]);
  expect((await accepted()).length).toBeLessThan(25);
});

it('a turn that makes way with its last image has none to come back for (W19)', async () => {
  // So long that the rendering asks in the middle of an image.
  server.change({ renderMs: 600 });
  run = await made({ name: 'Two', count: 2, minImages: 1 });
  let asked = 0;
  const wanted = () => {
    if (server.statistics().renders.length === 0) return undefined;
    asked += 1;
    return { reason: 'daily training waits' };
  };
  expect(await render(wanted)).toMatchObject({ accepted: 2, stopped: null });
  expect(asked).toBe(1);
});

it('gives the GPU back when more urgent work asks for it before ComfyUI has answered (W8, W19)', async () => {
  await server.close();
  const reason = 'daily training waits';
  expect(await render(() => ({ reason }))).toEqual({
    ...{ planned: 12, accepted: 0, rejected: 0, stopped: reason, simulated: false },
  });
});
