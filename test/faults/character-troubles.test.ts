import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { readStageFaults } from '../../src/character/stage-faults.js';
import { readJournal } from '../../src/character/journal.js';
import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { failureOf, type FailureText } from '../../src/cli/runs/workflow-failure.js';
import type { ActivitySnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { startCharacterLora, type CharacterLoraResult } from '../../src/client.js';
import type { SdScriptsFault } from '../../src/sims/sd-scripts/simulation.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { readLaunches } from '../../src/training/launch-record.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { CharacterMachine } from '../support/character-machine.js';
import { ComfyuiProcess } from '../support/comfyui-process.js';
import { GpuTenants } from '../support/gpu-tenants.js';
import { waitUntil } from '../support/wait-until.js';

let card: string;
let tenants: GpuTenants;
let machine: CharacterMachine;
let comfyui: ComfyuiProcess;
let gpu: GuardedProcess;
/** Twelve images with captions. */
let dataset: string;

/** A training that comes so far hangs, the first time. */
const stall: SdScriptsFault = { kind: 'stall', atStep: 15, onlyOnLaunch: 1 };
const startGpu = () => machine.tower.startGpu(0, { TOWER_SIMULATED_SD_SCRIPTS_FAULT: JSON.stringify(stall) });

/** A card of 12 GiB whose driver says what a file says. */
const nvidiaSmi = (folder: string) => `#!/bin/sh
used=$(cat ${folder}/used)
case "$1" in
  --query-gpu=*) echo "0, GPU-aa, NVIDIA RTX 3060, 12288, $used" ;;
  --query-compute-apps=*) echo "GPU-aa, 4711, /opt/ollama/runner, $used" ;;
esac
`;
const used = (megabytes: number) => writeFile(join(card, 'used'), String(megabytes));

beforeAll(async () => {
  card = await mkdtemp(join(tmpdir(), 'tower-card-'));
  await used(500);
  await writeFile(join(card, 'nvidia-smi'), nvidiaSmi(card));
  await chmod(join(card, 'nvidia-smi'), 0o755);
  const started = await GpuTenants.start();
  tenants = started;
  machine = await CharacterMachine.create({
    killable: true,
    comfyui: { renderMs: 20 },
    settings: {
      gpu: { nvidiaSmi: join(card, 'nvidia-smi'), makeRoomMinutes: 5, tenants: { ollama: started.ollama } },
      train: { stallMinutes: 0.25 },
    },
  });
  if (!(machine.comfyui instanceof ComfyuiProcess)) throw new Error('not a process');
  comfyui = machine.comfyui;
  [, gpu] = await Promise.all([machine.tower.startControl(), startGpu()]);
  ({ dataset } = await (await machine.start({ name: 'Dataset', stages: ['generate', 'tag'] })).result());
  // What ComfyUI has loaded itself would count as free.
  await comfyui.kill();
  await comfyui.startAgain();
});
afterAll(async () => {
  await machine.close();
  tenants.close();
  await rm(card, { recursive: true, force: true });
});

const runOf = (run: string) => runDirectory(join(machine.tower.paths.runs, run));
const journalOf = (run: string) => readJournal(join(runOf(run).directory, 'images.jsonl'));
const waitsForRoom = ({ progress }: ActivitySnapshot) => progress?.waitsFor?.code === 'VRAM_NOT_FREED';

async function failure(handle: CharacterLoraHandle): Promise<FailureText> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error('it has not failed', { cause: error });
  return failureOf(error.cause);
}

/** Every image of the plan is there, none twice. */
async function expectAllDistinct({ run, images, dataset }: CharacterLoraResult, count = 12): Promise<void> {
  expect(images).toEqual({ planned: count, accepted: count, rejected: 0 });
  const { accepted } = await journalOf(run);
  expect(new Set([...accepted.values()].map(({ sha256 }) => sha256)).size).toBe(count);
  const pictures = Object.entries(await machine.datasetFiles(dataset)).filter(([name]) => name.endsWith('.png'));
  expect(new Set(pictures.map(([, hash]) => hash)).size).toBe(count);
}

it('a tenant that keeps the VRAM holds up rendering and training, visibly, until it gives way (W19)', async () => {
  await used(9_000);
  const handle = await machine.start({ name: 'Room', stages: ['generate', 'tag'] });
  const { workflowId } = handle;
  const watch = machine.tower.tower('character', 'watch', 'room/1');
  const { progress } = await machine.activity(workflowId, 'renderCharacter', waitsForRoom);
  expect(progress).toMatchObject({ stage: 'making room' });
  const held =
    /GPU 0 \(NVIDIA RTX 3060\) has 3288 MB free, 10035 MB are needed; held by \/opt\/ollama\/runner \(pid 4711, 9000 MB\)/;
  await waitUntil("the driver's word", async () => {
    const { stdout } = await machine.tower.tower('status');
    return (
      String(stdout).includes(
        'GPU 0 (NVIDIA RTX 3060) has 3288 MB free, 10035 MB are needed; held by /opt/ollama/runner (pid 4711, 9000 MB)',
      ) && String(stdout).includes('renderCharacter waits: ')
    );
  });
  expect(tenants.requests.map(({ text }) => text)).toContainEqual(
    expect.stringMatching(/POST \/api\/generate .*keep_alive":0/),
  );
  expect((await comfyui.readStatistics()).accepted).toBe(0);
  await used(500);
  await expectAllDistinct(await handle.result());
  expect((await watch).stderr).toMatch(held);

  await used(9_000);
  const short = { count: undefined, stages: ['train'], kohya: { max_train_epochs: 1 } };
  const training = await machine.start({ ...short, name: 'Room', dataset });
  await machine.activity(training.workflowId, 'trainCharacter', waitsForRoom);
  const { stdout: status } = await machine.tower.tower('status');
  expect(status).toContain('trainCharacter waits: GPU 0');
  await used(500);
  const trained = await training.result();
  expect(trained.training).toMatchObject({ executedSteps: trained.training?.plannedSteps, launches: 1 });
});

it('a tenant that never gives way: the run fails when its stage is over, and names who holds the VRAM', async () => {
  await used(11_000);
  // Long enough to come to the GPU and to say what is waited for, however slow this machine is.
  const limits = { generate: { timeoutMinutes: 0.5 }, train: { timeoutMinutes: 0.5 } };
  const render = await failure(await machine.start({ name: 'Held', limits }));
  const train = await failure(
    await machine.start({ name: 'Held', limits, dataset, count: undefined, stages: ['train'] }),
  );
  for (const [stage, { code, message, next }] of [
    ['generate', render],
    ['train', train],
  ] as const) {
    expect(code).toBe('STAGE_TIMED_OUT');
    expect(message).toContain(`the stage ${stage} was ended after 30 s`);
    expect(message).toMatch(
      /was waiting: GPU 0 .*held by \/opt\/ollama\/runner \(pid 4711, 11000 MB\) \[VRAM_NOT_FREED\]/,
    );
    expect(next).toMatch(
      /^End the program that holds the memory, or name it as a tenant in `gpu\.tenants`, or raise the timeout/,
    );
  }
  expect(await machine.isGpuHeld()).toBe(false);
  await used(500);
});

it('each fault of a prompt is told apart and put right, in one run, and the report says so', async () => {
  const of = (image: number) => ({ prompt: { match: `character_mixed_v1/${image}-0` } });
  await comfyui.addFaults([
    { ...of(2), fault: { kind: 'out-of-memory' } },
    { ...of(3), fault: { kind: 'error', message: 'no luck' } },
    { ...of(4), fault: { kind: 'output', output: 'missing' } },
    { ...of(5), fault: { kind: 'output', output: 'truncated' } },
    { ...of(6), fault: { kind: 'output', output: 'corrupt' } },
    { ...of(7), fault: { kind: 'unseen' } },
    { ...of(8), fault: { kind: 'interrupted' } },
    { ...of(9), fault: { kind: 'deleted' } },
    { route: 'GET /view', match: 'filename=10-0', fault: { kind: 'short-body', bytes: 100 } },
    { route: 'POST /prompt', after: 10, fault: { kind: 'reset', when: 'after-acting' } },
    { route: 'POST /prompt', after: 12, fault: { kind: 'answer-after-end' } },
  ]);
  const result = await (await machine.start({ name: 'Mixed', stages: ['generate', 'tag'] })).result();
  await expectAllDistinct(result);
  const { recoveries } = await journalOf(result.run);
  const expected = [
    'out-of-memory',
    'failed',
    'output-missing',
    'output-damaged',
    'interrupted',
    'deleted',
    'repeated',
  ];
  expect([...recoveries.keys()]).toEqual(expect.arrayContaining([...expected, 'answer-lost', 'silent-socket']));
  expect(recoveries.get('output-damaged')?.count).toBe(2);
  expect(recoveries.get('out-of-memory')?.last).toMatchObject({
    image: '2-0',
    detail:
      'KSampler: torch.OutOfMemoryError: Allocation on device 0 failed (simulated)\nThe GPU has too little memory for this prompt. (simulated)',
  });
  const { stdout } = await machine.tower.tower('character', 'report', 'mixed/1');
  const page = await readFile(String(stdout), 'utf8');
  for (const kind of expected) expect(page).toContain(`<code>${kind}</code>`);
});

it('a ComfyUI whose GPU is too small for the images fails the run, with its own words', async () => {
  await comfyui.addFaults([{ prompt: { match: 'character_vast_v1/' }, times: 100, fault: { kind: 'out-of-memory' } }]);
  const job = { name: 'Vast', limits: { generate: { retries: 0 } } };
  const { code, message, next } = await failure(await machine.start(job));
  expect(code).toBe('RENDER_OUT_OF_MEMORY');
  expect(message).toMatch(
    /ran out of GPU memory in node \d+ \(KSampler\), also after freeing it .*limits\.generate\.retries is 0/,
  );
  expect(next).toBe('End what else uses the GPU, or render smaller images.');
  expect((await readStageFaults(runOf('character_vast_v1').directory)).map(({ code: recorded }) => recorded)).toEqual([
    code,
  ]);
});

it('a ComfyUI that is wedged: without events the images come all the same, without a renderer the run fails', async () => {
  await machine.change({ wedged: 'events' });
  const quiet = await (await machine.start({ name: 'Quiet', count: 4, stages: ['generate', 'tag'] })).result();
  await expectAllDistinct(quiet, 4);
  expect((await journalOf(quiet.run)).recoveries.get('silent-socket')?.count).toBeGreaterThan(0);

  await machine.change({ wedged: 'renderer' });
  const limits = { generate: { retries: 0 }, imageStartMinutes: 0.02 };
  const { code, message, next } = await failure(await machine.start({ name: 'Stuck', limits }));
  expect(code).toBe('COMFYUI_WEDGED');
  expect(message).toContain('and nothing runs');
  expect(next).toContain('Restart ComfyUI');
  await machine.change({ wedged: 'none' });
  const goneOn = await (await startCharacterLora(machine.tower.client, { run: 'character_stuck_v1' })).result();
  await expectAllDistinct(goneOn);
});

it('an image whose prompt nobody knows any more is taken from the output folder: twelve of twelve, all distinct', async () => {
  await comfyui.addFaults([
    { prompt: { match: 'character_cached_v1/12-0' }, fault: { kind: 'slow', renderMs: 1_500 } },
  ]);
  const handle = await machine.start({ name: 'Cached', stages: ['generate', 'tag'] });
  await machine.accepted(handle.workflowId, 11);
  await machine.tower.kill(gpu);
  const last = async () =>
    (await comfyui.readStatistics()).renders.filter(({ prefix }) => prefix?.includes('_cached_v1/12-0'));
  await waitUntil('the last image', async () => (await last()).length === 1);
  // The image stays, and nobody knows any more that it was rendered.
  await fetch(`${comfyui.address}/history`, { method: 'POST', body: JSON.stringify({ clear: true }) });
  gpu = await startGpu();
  await expectAllDistinct(await handle.result());
  expect((await last()).map(({ outcome }) => outcome)).toEqual(['success']);
});

it('a trainer that hangs is ended and resumed, or fails the run; both are on record (W17)', async () => {
  const job = { dataset, count: undefined, stages: ['train'] };
  const resumed = await machine.start({ ...job, name: 'Resumed' });
  await machine.trainingAtStep(resumed.workflowId, 2);
  const ended = await machine.start({ ...job, name: 'Ended', limits: { train: { retries: 0 } } });
  const { code, message } = await failure(ended);
  expect(code).toBe('TRAINER_STALLED');
  expect(message).toMatch(/stalled in launch 1 .*step 14 of 22/);

  const { training, run } = await resumed.result();
  expect(training).toMatchObject({ executedSteps: 22, plannedSteps: 22, launches: 2, redoneSteps: 3 });
  expect((await readLaunches(runOf(run))).map(({ fault }) => fault?.class)).toEqual(['stalled', undefined]);
  expect((await readStageFaults(runOf(run).directory)).map(({ stage, code: recorded }) => [stage, recorded])).toEqual([
    ['train', 'TRAINER_STALLED'],
  ]);
  const { stdout } = await machine.tower.tower('character', 'report', 'resumed/1');
  expect(await readFile(String(stdout), 'utf8')).toContain('TRAINER_STALLED');
});
