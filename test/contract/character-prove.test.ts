import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { makeRun } from '../../src/activities/character/prepare-run.js';
import { proveLora, type ProofProgress } from '../../src/activities/character/prove-lora.js';
import type { GpuTurn } from '../../src/activities/gpu-turn.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import { writeJsonDurable } from '../../src/files/durable-write.js';
import { startComfyuiServer, type ComfyuiServer } from '../../src/sims/comfyui/server.js';
import { smallJob } from '../support/character-machine.js';
import { writeLora } from '../support/simulated-comfyui.js';
import { waitUntil } from '../support/wait-until.js';

const loraName = 'elara_lora-v1.safetensors';
const signal = new AbortController().signal;
let folder: string;
let server: ComfyuiServer;
let run: CharacterRun;
/** What was logged, as JSON lines. */
let lines: string[];
/** Codes of what was waited for. */
let waits: (string | undefined)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  server = await startComfyuiServer({ directory: join(folder, 'comfyui'), settings: { renderMs: 20 } });
  const [datasets, runs] = [join(folder, 'datasets'), join(folder, 'runs')];
  for (const made of [datasets, runs]) await mkdir(made);
  run = await makeRun({ job: parseCharacterJob(smallJob), datasets, runs, owner: 'one', run: undefined });
  const path = lora();
  await writeJsonDurable(run.paths.delivery, {
    ...{ loraName, path, version: 1, sha256: 'c'.repeat(64), bytes: 1, sidecar: `${path}.json`, simulated: true },
    ...{ alias: null, aliasRefused: null, publishedAt: new Date().toISOString() },
  });
  lines = [];
  waits = [];
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const lora = () => join(server.modelsDirectory, 'loras', loraName);
const alone: GpuTurn = { signal, yieldSignal: signal, yieldRequested: undefined };

function prove(turn: GpuTurn = alone) {
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
  const client = createComfyuiClient({ baseUrl: server.address, log });
  const onProgress = ({ waitsFor }: ProofProgress) => waits.push(waitsFor?.code);
  return proveLora({ run, client, awayMs: 30_000, turn }, { signal, log, onProgress });
}

const isAway = () => waitUntil('an absence', () => lines.some((line) => line.includes('ComfyUI is away')));

async function startAgain(): Promise<void> {
  const port = Number(new URL(server.address).port);
  server = await startComfyuiServer({ directory: join(folder, 'comfyui'), port });
}

/** More urgent work asks for the GPU when `ask` is called. */
function urgentTurn(): { readonly turn: GpuTurn; readonly ask: () => void } {
  const asked = new AbortController();
  const turn: GpuTurn = {
    ...{ signal, yieldSignal: asked.signal },
    get yieldRequested() {
      return asked.signal.aborted ? { reason: 'daily training waits' } : undefined;
    },
  };
  return { turn, ask: () => asked.abort() };
}

it('waits for a ComfyUI that is restarted while its list of LoRAs is waited for (W25)', async () => {
  const proof = prove();
  await waitUntil('a first look', () => (server.statistics().requests['GET /models/{folder}'] ?? 0) > 0);
  await server.close();
  await Promise.race([isAway(), proof]);
  await writeLora(lora(), 7);
  await startAgain();
  expect((await proof).changedShare).toBeGreaterThan(0);
  expect(lines.some((line) => line.includes('ComfyUI answers again'))).toBe(true);
  expect(waits).toContain('COMFYUI_UNREACHABLE');
  expect(waits.at(-1)).toBeUndefined();
});

it('gives the GPU back when more urgent work asks for it while ComfyUI is away (W19)', async () => {
  await writeLora(lora(), 7);
  await server.close();
  const { turn, ask } = urgentTurn();
  const proof = prove(turn);
  await isAway();
  ask();
  await expect(proof).rejects.toMatchObject({ code: 'GPU_GIVEN_BACK', retryable: true });
  await startAgain();
  expect((await prove()).changedShare).toBeGreaterThan(0);
});

it('gives the GPU back after the present image, which is not rendered again (W19)', async () => {
  await writeLora(lora(), 7);
  // Long enough to be asked in its middle, however slow this machine is.
  server.change({ renderMs: 3_000 });
  const { turn, ask } = urgentTurn();
  const proof = prove(turn);
  await waitUntil('two prompts', () => server.statistics().accepted === 2);
  ask();
  await expect(proof).rejects.toMatchObject({
    ...{ code: 'GPU_GIVEN_BACK', retryable: true },
    message: 'it made way on the GPU: daily training waits',
  });
  // Not before: the second prompt could be done before it is taken back.
  server.change({ renderMs: 20 });
  expect((await prove()).changedShare).toBeGreaterThan(0);
  expect(server.statistics().renders.map(({ outcome, prefix }) => [outcome, prefix?.split('/').at(-1)])).toEqual([
    ['success', 'without-lora'],
    ['success', 'with-lora'],
  ]);
});

it('a repeat finds the proof it has made; one that does not say whether it was simulated is made again', async () => {
  await writeLora(lora(), 7);
  const first = await prove();
  const { requestTotal } = server.statistics();
  expect(await prove()).toEqual(first);
  expect(server.statistics().requestTotal).toBe(requestTotal);
  const record = JSON.parse(await readFile(run.paths.proof, 'utf8')) as Record<string, unknown>;
  await writeJsonDurable(run.paths.proof, { ...record, simulated: undefined });
  expect(await prove()).toEqual({ ...first, simulated: true });
});
