import { resolve } from 'node:path';

import { Command } from 'commander';
import { expect, it } from 'vitest';

import { addJobOptions, type JobOptions } from '../../src/cli/character/job-options.js';
import { readJob } from '../../src/cli/character/read-job.js';

const commandLine = () =>
  addJobOptions(new Command(), { images: true, captions: true, training: true, existing: true }).exitOverride();

/** Each flag of a job, and what it makes of the job. */
const flags: readonly (readonly [args: readonly string[], job: object])[] = [
  [['--name', 'Mira'], { name: 'Mira', output: 'mira_lora' }],
  [['--description', '1girl, red hair'], { description: '1girl, red hair' }],
  [['--tags', '1girl,red hair'], { tags: ['1girl', 'red hair'] }],
  [['--trigger', 'xk7'], { trigger: 'xk7' }],
  [['--output', 'other_lora'], { output: 'other_lora' }],
  [['--output-dir', 'out/Mira'], { outputDir: resolve('out/Mira') }],
  [['--dataset', 'sets/Mira', '--with', 'stages=["tag"]'], { dataset: resolve('sets/Mira') }],
  [['--count', '7'], { count: 7 }],
  [['--min-images', '5'], { minImages: 5 }],
  [['--seed', '9'], { seed: 9 }],
  [['--size', '512x640'], { width: 512, height: 640 }],
  [['--steps', '11'], { steps: 11 }],
  [['--cfg', '4.5'], { cfg: 4.5 }],
  [['--sampler', 'euler'], { sampler: 'euler' }],
  [['--scheduler', 'normal'], { scheduler: 'normal' }],
  [['--checkpoint', 'other.safetensors'], { checkpoint: 'other.safetensors' }],
  [['--base-model', '/models/x.safetensors'], { kohya: { pretrained_model_name_or_path: '/models/x.safetensors' } }],
  [['--base-model-kind', 'sdxl'], { baseModelKind: 'sdxl' }],
  [['--network-dim', '64'], { kohya: { network_dim: 64 } }],
  [['--network-alpha', '8'], { kohya: { network_alpha: 8 } }],
  [['--epochs', '3'], { kohya: { max_train_epochs: 3 } }],
  [['--learning-rate', '0.0002'], { kohya: { learning_rate: 0.0002 } }],
  [['--with', 'kohya.train_batch_size=2'], { kohya: { train_batch_size: 2 } }],
  [['--priority', 'urgent'], { priority: 'urgent' }],
  [['--host', 'attic'], { host: 'attic' }],
  [['--review'], { review: true }],
  [['--overwrite-captions'], { overwriteCaptions: true }],
  [['--alias'], { deliver: { alias: true } }],
  [['--allow-simulated'], { allowSimulated: true }],
  [['--deliver-simulated', '--allow-simulated'], { deliver: { simulated: true } }],
];

const least = ['--name', 'Elara', '--description', '1girl, brown hair'];

async function jobOf(args: readonly string[]) {
  const command = commandLine().parse([...least, ...args], { from: 'user' });
  return (await readJob(command.opts<JobOptions>())).job;
}

it.each(flags)('%j is what the job gets', async (args, expected) => {
  expect(await jobOf([])).not.toMatchObject(expected);
  expect(await jobOf(args)).toMatchObject(expected);
});

it('models of the training are meant from the working directory, also by --with', async () => {
  const args = ['--base-model', 'models/x.safetensors', '--with', 'kohya.vae=./vae'];
  const kohya = { pretrained_model_name_or_path: resolve('models/x.safetensors'), vae: resolve('vae') };
  expect(await jobOf(args)).toMatchObject({ kohya });
  const onHub = 'runwayml/stable-diffusion-v1-5';
  expect(await jobOf(['--base-model', onHub])).toMatchObject({ kohya: { pretrained_model_name_or_path: onHub } });
});

it('--graph is read where the command runs', async () => {
  await expect(jobOf(['--graph', 'missing/graph.json'])).rejects.toMatchObject({
    code: 'GRAPH_INVALID',
    message: expect.stringContaining(resolve('missing/graph.json')) as string,
  });
});

it('every flag of a job is in this table', () => {
  const tried = flags.map(([[flag]]) => flag);
  const known = commandLine().options.map(({ long }) => long);
  expect(tried.toSorted()).toEqual(known.filter((flag) => flag !== '--job' && flag !== '--graph').toSorted());
});
