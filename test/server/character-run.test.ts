import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { captionOf } from '../../src/character/captions.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { planImages } from '../../src/character/plan.js';
import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { pauseRun, type CharacterLoraResult } from '../../src/client.js';
import { defaultGraph } from '../../src/comfyui/default-graph.js';
import { exists } from '../../src/files/exists.js';
import { packageRoot } from '../../src/files/package-root.js';
import type { characterLora } from '../../src/workflows/character-lora.js';
import { CharacterMachine, smallJob } from '../support/character-machine.js';
import { waitUntil } from '../support/wait-until.js';

let machine: CharacterMachine;

beforeAll(async () => {
  machine = await CharacterMachine.create({ comfyui: { renderMs: 20 } });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

/** Few images and one epoch, for what is not about their number. */
const quick = { count: 3, kohya: { max_train_epochs: 1 } };

async function json(...path: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(...path), 'utf8')) as Record<string, unknown>;
}

async function failure(handle: CharacterLoraHandle): Promise<{ code: string; message: string }> {
  try {
    await handle.result();
  } catch (error) {
    if (error instanceof WorkflowFailedError) return failureOf(error.cause);
    throw error;
  }
  throw new Error('it has not failed');
}

let first: CharacterLoraResult;

it('one command in, a proven LoRA in ComfyUI out (W2, W5, W15, W16, W21, W25)', async () => {
  const job = ['--name', 'Elara', '--description', smallJob.description, '--tags', '1girl,brown hair', '--count', '12'];
  const size = ['--size', '64x64', '--steps', '2', '--epochs', '2', '--network-dim', '4', '--network-alpha', '2'];
  const more = ['--allow-simulated', '--deliver-simulated', '--alias', '--with', 'kohya.num_repeats=1'];
  const run = await machine.tower.tower('character', 'start', ...job, ...size, ...more, '--wait', '--json');
  expect(run.exitCode).toBe(0);
  const outcome = JSON.parse(String(run.stdout)) as { workflowId: string; status: string; result: CharacterLoraResult };
  first = outcome.result;
  expect(outcome).toMatchObject({ workflowId: 'character-lora/elara/1', status: 'completed' });

  const { dataset, images, captions, training, lora, proof } = first;
  expect(dataset).toBe(join(machine.datasets, 'Elara-v1'));
  expect(images).toEqual({ planned: 12, accepted: 12, rejected: 0 });
  expect(captions).toMatchObject({ images: 12, kept: 0, withoutMetadata: 0 });
  const parsed = parseCharacterJob({ ...smallJob, tags: ['1girl', 'brown hair'] });
  const plan = planImages(parsed);
  for (const { index, attributes } of plan.images) {
    const file = join(dataset, 'images', `elara_${String(index).padStart(3, '0')}`);
    expect(await sharp(`${file}.png`).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
    expect(await readFile(`${file}.txt`, 'utf8')).toBe(captionOf(parsed, attributes));
  }
  const metadata = await json(dataset, 'generation_metadata.json');
  expect(metadata).toMatchObject({
    character_name: 'Elara',
    total_requested: 12,
    total_generated: 12,
    total_failed: 0,
  });
  expect((metadata['generated_images'] as { seed: number }[]).map(({ seed }) => seed)).toEqual(
    plan.images.map(({ seed }) => seed),
  );
  expect(await json(dataset, 'tagging_results.json')).toMatchObject({ total_images: 12, tagged_successfully: 12 });
  expect(await exists(join(dataset, 'contact-sheet.jpg'))).toBe(true);

  expect(training?.executedSteps).toBe(training?.plannedSteps);
  const alias = 'elara_lora-simulated.safetensors';
  expect(lora).toMatchObject({ outcome: 'published', name: 'elara_lora-simulated-v1.safetensors', alias });
  expect(await machine.publishedLoras()).toEqual(['elara_lora-simulated-v1.safetensors', alias]);
  if (lora?.outcome !== 'published') return;
  expect((await stat(lora.file)).mode & 0o777).toBe(0o644);
  expect(proof?.changedShare).toBeGreaterThan(0);
  expect(await exists(proof?.withLora ?? '')).toBe(true);
  const sidecar = await json(lora.file.replace('.safetensors', '.json'));
  expect(JSON.stringify(sidecar)).toContain('character_elara_v1');
});

it('never calls anything real that was simulated (W9)', async () => {
  expect(first).toMatchObject({ outcome: 'simulated', simulated: true, training: { simulated: true } });
  const runs = join(machine.tower.paths.runs, first.run);
  expect(await json(runs, 'outcome.json')).toMatchObject({ outcome: 'simulated' });
  for (const name of await machine.publishedLoras()) expect(name).toContain('-simulated');
  const list = await machine.tower.tower('character', 'list');
  expect(list.stdout).toMatch(/character-lora\/elara\/1 +Elara +simulated +done +normal/);
  const watch = await machine.tower.tower('character', 'watch', 'elara');
  expect(watch.stdout).toContain(
    `  simulated: ${first.reason}\n  dataset: ${first.dataset}\n  images: 12 of 12 accepted`,
  );

  const before = await machine.publishedLoras();
  const withheld = await (await machine.start({ ...quick, name: 'Mira', deliver: { simulated: false } })).result();
  expect(withheld).toMatchObject({ outcome: 'simulated', lora: { outcome: 'withheld' }, proof: null });
  expect(await machine.publishedLoras()).toEqual(before);
});

it('writes one page about a run, without a server', async () => {
  const { exitCode, stdout } = await machine.tower.tower('report', 'character-lora/elara/1', '--json');
  const short = await machine.tower.tower('character', 'report', 'Elara');
  expect(short.stdout).toBe(join(machine.tower.home, 'reports', `${first.run}.html`));
  expect(exitCode).toBe(0);
  const { file, report } = JSON.parse(String(stdout)) as { file: string; report: { run: string; images: unknown[] } };
  expect(report.run).toBe(first.run);
  expect(report.images).toHaveLength(12);
  const page = await readFile(file, 'utf8');
  expect(page).toContain('elara_lora-simulated-v1.safetensors');
  expect(page).not.toMatch(/src="(?!data:)/);
});

it('two jobs for the same name and output never overwrite each other (W10, W16, W27)', async () => {
  const loras = await machine.publishedLoras();
  const handles = await Promise.all([machine.start(quick), machine.start({ ...quick, seed: 2 })]);
  expect(handles.map(({ workflowId }) => workflowId).sort()).toEqual([
    'character-lora/elara/2',
    'character-lora/elara/3',
  ]);
  const results = await Promise.all(handles.map((handle) => handle.result()));
  expect(results.map(({ dataset }) => dataset).sort()).toEqual(
    [2, 3].map((version) => join(machine.datasets, `Elara-v${version}`)),
  );
  const names = results.map(({ lora }) => (lora?.outcome === 'published' ? lora.name : undefined)).sort();
  expect(names).toEqual([2, 3].map((version) => `elara_lora-simulated-v${version}.safetensors`));
  expect(await machine.publishedLoras()).toEqual([...loras, ...names].sort());
  expect(await readdir(join(first.dataset, 'images'))).toHaveLength(24);
  // Nine images more are no event more; the alias is a step of its own.
  const lengths = [machine.tower.client.workflow.getHandle('character-lora/elara/1'), ...handles].map(
    async (handle) => (await handle.describe()).historyLength,
  );
  const [twelve = 0, ...three] = await Promise.all(lengths);
  expect(twelve).toBeLessThan(Math.max(...three) + 12);
});

it('does single stages, as the original did single tasks (W8)', async () => {
  const images = await (await machine.start({ ...quick, name: 'Öl/../Süß 🐉', stages: ['generate'] })).result();
  expect(images).toMatchObject({ stages: ['generate'], captions: null, training: null, lora: null });
  expect(images.dataset.startsWith(`${machine.datasets}/`)).toBe(true);
  expect((await readdir(join(images.dataset, 'images'))).filter((name) => name.endsWith('.txt'))).toEqual([]);

  const existing = { name: 'Oel', dataset: images.dataset };
  const tagged = await machine.tower.tower(
    ...['character', 'tag', '--name', 'Oel', '--description', '1girl, red hair', '--dataset', images.dataset],
    ...['--wait', '--json'],
  );
  // Captions of simulated images are real, the dataset is not.
  expect(JSON.parse(String(tagged.stdout))).toMatchObject({
    result: { captions: { images: 3 }, images: null, outcome: 'simulated' },
  });
  const alias = join(machine.loras, 'oel_lora-simulated.safetensors');
  await writeFile(alias, 'mine');
  const deliver = { simulated: true, alias: true };
  const trained = await (
    await machine.start({ ...existing, description: undefined, ...quick, count: undefined, deliver, stages: ['train'] })
  ).result();
  const refused = expect.stringContaining(`${alias} was not put there by Tower`) as string;
  expect(trained).toMatchObject({ lora: { alias: null, aliasRefused: refused }, reason: refused });
  expect(trained).toMatchObject({ images: null, captions: null, lora: { outcome: 'published' }, outcome: 'simulated' });
  expect(trained.training?.executedSteps).toBe(trained.training?.plannedSteps);
});

it('waits for a person, renders what was rejected again, and keeps captions that were edited (W21)', async () => {
  const handle = await machine.start({ ...quick, name: 'Rev', review: true, minImages: 2 });
  await machine.stage(handle.workflowId, 'review');
  const refused = await machine.tower.tower('character', 'approve', 'rev/1', '--reject', '9', '--json');
  expect([refused.exitCode, JSON.parse(String(refused.stdout))]).toMatchObject([
    6,
    { error: { code: 'REVIEW_REFUSED' } },
  ]);
  const status = await machine.tower.tower('status');
  const sheet = join(machine.datasets, 'Rev-v1', 'contact-sheet.jpg');
  expect(status.stdout).toContain(`your decision about ${sheet}: \`tower character approve rev/1\``);
  const again = await machine.tower.tower(
    'character',
    'approve',
    'Rev/1',
    '--reject',
    '2',
    '--caption',
    '1=rev, mine',
    '--json',
  );
  expect(JSON.parse(String(again.stdout))).toMatchObject({ state: 'reviewing', rejected: 1, again: 1, edited: 1 });
  await machine.stage(handle.workflowId, 'review');
  const approved = await machine.tower.tower('character', 'approve', 'rev', '--reject', '3', '--final', '--by', 'Ana');
  expect(approved.exitCode).toBe(0);
  const { dataset, images, captions } = await handle.result();
  expect(images).toEqual({ planned: 3, accepted: 2, rejected: 2 });
  expect(captions).toMatchObject({ images: 2, kept: 1 });
  expect(await readFile(join(dataset, 'images', 'rev_001.txt'), 'utf8')).toBe('rev, mine');
  const { generated_images: made } = await json(dataset, 'generation_metadata.json');
  const planned = planImages(parseCharacterJob({ ...smallJob, ...quick, name: 'Rev' })).images;
  expect((made as { seed: number }[]).map(({ seed }, index) => seed === planned[index]?.seed)).toEqual([true, false]);
});

it('makes its dataset in --output-dir, and touches no folder of anybody else', async () => {
  const folder = join(machine.tower.home, 'own folders');
  const generate = async (name: string, outputDir: string) => {
    const job = ['--name', name, '--description', '1girl', '--count', '2', '--size', '64x64', '--steps', '2'];
    const run = await machine.tower.tower(
      'character',
      'generate',
      ...job,
      '--output-dir',
      outputDir,
      '--wait',
      '--json',
    );
    const { result, failure } = JSON.parse(String(run.stdout)) as {
      result: CharacterLoraResult | null;
      failure: { code: string } | null;
    };
    return { exitCode: run.exitCode, dataset: result?.dataset ?? null, code: failure?.code ?? null };
  };
  // A relative path is meant from where the command is given; both want the same folder.
  const wanted = join(folder, 'Vera');
  const both = await Promise.all([
    generate('Vera', relative('.', wanted)),
    generate('Another Vera', `${wanted}/../Vera/`),
  ]);
  expect(both.toSorted((one, other) => Number(one.exitCode) - Number(other.exitCode))).toEqual([
    { exitCode: 0, dataset: wanted, code: null },
    { exitCode: 1, dataset: null, code: 'DATASET_FOLDER_TAKEN' },
  ]);
  const files = await machine.datasetFiles(wanted);
  expect(Object.keys(files)).toHaveLength(2);

  await mkdir(join(folder, 'Photos'));
  await writeFile(join(folder, 'Photos', 'mine.jpg'), 'mine');
  const others = [join(folder, 'Photos'), '/sys/kernel/vera', join(folder, 'Photos', 'mine.jpg')];
  expect(await Promise.all(others.map((outputDir) => generate('Vera', outputDir)))).toEqual([
    { exitCode: 1, dataset: null, code: 'DATASET_FOLDER_TAKEN' },
    { exitCode: 1, dataset: null, code: 'NO_PERMISSION' },
    { exitCode: 1, dataset: null, code: 'DATASET_FOLDER_TAKEN' },
  ]);
  expect(await readdir(join(folder, 'Photos'))).toEqual(['mine.jpg']);
  expect(await machine.datasetFiles(wanted)).toEqual(files);
});

it('a run that goes on after its review does not ask again', async () => {
  const { client } = machine.tower;
  const handle = await machine.start({ ...quick, name: 'Seen', review: true });
  await machine.stage(handle.workflowId, 'review');
  // So that it cannot be over before it is cancelled.
  await pauseRun(client, handle.workflowId);
  const approved = await machine.tower.tower(
    'character',
    'approve',
    'seen',
    '--caption',
    '1=seen, mine',
    '--by',
    'Ana',
  );
  expect(approved.exitCode).toBe(0);
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow(WorkflowFailedError);

  const started = await machine.tower.tower('character', 'start', '--run', 'seen/1', '--json');
  const { workflowId } = JSON.parse(String(started.stdout)) as { workflowId: string };
  const { stage, status } = await waitUntil('its end, or another question', async () => {
    const snapshot = await takeSnapshot(client, workflowId);
    return snapshot.stage === 'review' || snapshot.status !== 'running' ? snapshot : undefined;
  });
  expect({ stage, status }).toEqual({ stage: 'done', status: 'completed' });
  const { dataset, captions } = await client.workflow.getHandle<typeof characterLora>(workflowId).result();
  expect(captions).toMatchObject({ images: 3, kept: 1 });
  expect(await readFile(join(dataset, 'images', 'seen_001.txt'), 'utf8')).toBe('seen, mine');
});

it('fails before a GPU second is spent, and before anything is made, when the graph cannot run (W4)', async () => {
  const handle = await machine.start({ ...quick, name: 'Nobody', checkpoint: 'dreamshaper_9.safetensors' });
  const { code, message } = await failure(handle);
  expect(code).toBe('GRAPH_UNUSABLE');
  expect(message).toContain('dreamshaper_9.safetensors');
  expect(message).toContain('dreamshaper_8.safetensors');
  // A graph into which no LoRA goes would fail at the proof, after the training.
  const { '1': loader, ...others } = defaultGraph;
  const graph = { ...others, '1': { ...loader, class_type: 'LoaderOfMyOwn' } };
  expect(await failure(await machine.start({ ...quick, name: 'Nobody', graph }))).toMatchObject({
    code: 'GRAPH_WITHOUT_LOADER',
  });
  expect((await readdir(machine.datasets)).filter((name) => name.startsWith('Nobody'))).toEqual([]);
});

it('fails before training with too few images, and says failed (W8, W9)', async () => {
  if (!('addFaults' in machine.comfyui)) throw new Error('not this server');
  await machine.comfyui.addFaults([
    { prompt: { match: 'character_few_v1/2-0' }, fault: { kind: 'output', output: 'blank' } },
  ]);
  const job = { ...quick, name: 'Few', minImages: 3, limits: { imageRetries: 0 } };
  const handle = await machine.start(job);
  expect(await failure(handle)).toMatchObject({ code: 'TOO_FEW_IMAGES' });
  const runs = join(machine.tower.paths.runs, 'character_few_v1');
  expect(await json(runs, 'outcome.json')).toMatchObject({ outcome: 'failed' });
  expect(await exists(join(runs, 'launches'))).toBe(false);
  const { status } = await handle.describe();
  expect(status.name).toBe('FAILED');
});

it('a LoRA that changes nothing fails the run, and never gets the name that graphs use (W25)', async () => {
  // Too weak to change a single colour value.
  const handle = await machine.start({
    ...{ ...quick, name: 'Flat', deliver: { alias: true }, proof: { strength: 1e-6 } },
  });
  const { code, message } = await failure(handle);
  expect(code).toBe('LORA_WITHOUT_EFFECT');
  expect(message).toContain('with-lora.png');
  const flat = (await machine.publishedLoras()).filter((name) => name.startsWith('flat_'));
  expect(flat).toEqual(['flat_lora-simulated-v1.safetensors']);
  const sidecar = await json(machine.loras, 'flat_lora-simulated-v1.json');
  expect(sidecar).toMatchObject({ outcome: 'failed', proof: null, simulated: true });
  const { exitCode, stdout, stderr } = await machine.tower.tower('character', 'watch', 'Flat');
  expect([exitCode, String(stdout)]).toEqual([1, expect.stringContaining('LORA_WITHOUT_EFFECT')]);
  expect(stderr).toContain('tower character start --run flat/1');
});

it('a LoRA with which pictures turn black counts as not proven, whatever differs (W25)', async () => {
  if (!('addFaults' in machine.comfyui)) throw new Error('not this server');
  const black = (image: string) => ({
    ...{ prompt: { match: image }, fault: { kind: 'output' as const, output: 'blank' as const } },
  });
  await machine.comfyui.addFaults([black('character_black_v1/with-lora'), black('character_dark_v1/without-lora')]);
  const endOf = async (name: string) => {
    const { code, message } = await failure(await machine.start({ ...quick, name, deliver: { alias: true } }));
    return [code, /with(out)?-lora\.png/.exec(message)?.[0]];
  };
  expect(await endOf('Black')).toEqual(['PROOF_BLANK', 'with-lora.png']);
  expect(await endOf('Dark')).toEqual(['PROOF_BLANK', 'without-lora.png']);
  // Versions stay for whoever wants to look; no alias was switched.
  expect((await machine.publishedLoras()).filter((name) => /^(black|dark)_/.test(name))).toEqual([
    'black_lora-simulated-v1.safetensors',
    'dark_lora-simulated-v1.safetensors',
  ]);
  const sidecar = await json(machine.loras, 'black_lora-simulated-v1.json');
  expect(sidecar).toMatchObject({ outcome: 'failed', proof: null });
});

it.each(['urgent', 'high', 'normal', 'low'])(
  'the GPU work of a job of level %s is scheduled as the documentation says',
  async (level) => {
    const text = await readFile(join(packageRoot, 'docs', 'command-line.md'), 'utf8');
    const row = new RegExp(`^\\| \`${level}\` +\\| (\\d) +\\| (\\d) +\\|`, 'm').exec(text);
    const [images, training] = [Number(row?.[1]), Number(row?.[2])];
    const handle = await machine.start({ ...quick, count: 1, minImages: 1, name: `Level ${level}`, priority: level });
    const { chosen } = await handle.result();
    // Why no figure told the epochs apart.
    expect(chosen?.reason).toContain('(1 images are too few to hold a share of 0.1 out)');
    const { events } = await handle.fetchHistory();
    const scheduled = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: activity }) =>
      activity?.taskQueue?.name === 'gpu-box-0' ? [[activity.activityType?.name, activity.priority?.priorityKey]] : [],
    );
    expect(scheduled).toEqual([
      ['renderCharacter', images],
      ['trainCharacter', training],
      ['proveLora', training],
    ]);
  },
);
