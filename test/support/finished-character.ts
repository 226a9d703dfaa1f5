import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';

import { captionDataset } from '../../src/character/caption-dataset.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { chooseEpoch } from '../../src/character/choose-epoch.js';
import { writeFileDurable, writeJsonDurable } from '../../src/files/durable-write.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { picture, preparedRun, renderAll, type CharacterFolders } from './character-run.js';

export interface FinishedCharacter {
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly caption?: string;
  readonly simulated?: boolean;
  readonly epochs?: number;
}

/** A run folder as a whole run leaves it: images, rejects, a training that was begun twice, choice, delivery, proof. */
export async function finishedCharacter(
  folders: CharacterFolders,
  { fields = {}, caption = 'Elara, my own words', simulated = false, epochs = 12 }: FinishedCharacter = {},
): Promise<CharacterRun> {
  const run = await preparedRun(folders, { count: 12, minImages: 4, limits: { imageRetries: 1 }, ...fields });
  const { width, height } = run.job;
  const plain = sharp({ create: { width, height, channels: 3, background: '#222' } });
  await renderAll(run, async (target, { image, attempt, seed }) => {
    if (image.index === 5 || (image.index === 2 && attempt === 0)) await plain.clone().toFile(target);
    else await picture(target, seed, { width, height });
  });
  const options = { signal: new AbortController().signal, log: pino({ level: 'silent' }) };
  await captionDataset(run, options);
  await writeFile(join(run.dataset.images, `${run.slug}_001.txt`), caption);
  await captionDataset(run, options);
  await writeTraining(run, { epochs, simulated });
  await writeRecords(run, { epochs, simulated });
  return run;
}

const time = (minute: number) => new Date(Date.UTC(2026, 0, 31, 14, minute)).toISOString();
const stepsPerEpoch = 10;

/** Two launches: the first was killed after its fifth epoch's state, the second went on from there. */
async function writeTraining(run: CharacterRun, { epochs, simulated }: { epochs: number; simulated: boolean }) {
  const { directory } = run.paths;
  const files = runDirectory(directory);
  const planned = epochs * stepsPerEpoch;
  await writeFileDurable(join(directory, 'config.toml'), 'network_dim = 32\n');
  await writeJsonDurable(join(directory, 'kohya.json'), {
    ...{
      version: 1,
      driver: 'kohya',
      simulated,
      baseModelKind: 'sd',
      outputName: run.job.output,
      epochs,
      images: 11,
      samples: 2,
    },
    sdScripts: { version: 'v0.10.1', commit: '0123abc' },
    heldOut: { available: true, images: 2, of: 11, seed: 42 },
  });
  const half = Math.floor(epochs / 2);
  const parts = [
    { number: 1, from: 1, to: half, reached: half * stepsPerEpoch + 4, minute: 0 },
    { number: 2, from: half + 1, to: epochs, reached: planned, minute: 20 },
  ];
  for (const { number, from, reached, minute } of parts) {
    const launch = files.launch(number);
    await mkdir(launch.directory, { recursive: true });
    const done = (from - 1) * stepsPerEpoch;
    const bars = Array.from({ length: reached - done }, (_, index) => {
      const step = done + index + 1;
      const loss = (0.08 + 0.09 * Math.exp(-step / 30) + 0.004 * Math.sin(step * 1.7)).toPrecision(3);
      return `steps:  ${Math.floor((100 * (index + 1)) / planned)}%|█| ${index + 1}/${planned} [00:10<00:20,  1.25s/it, avr_loss=${loss}]`;
    });
    await writeFile(
      launch.stdout,
      `accelerator device: cuda\n  total optimization steps / 学習ステップ数: ${planned}\n\nepoch ${from}/${epochs}\n`,
    );
    await writeFile(launch.stderr, `${bars.join('\r')}\n`);
    await writeJsonDurable(launch.spec, {
      ...{ run: run.reservation.run, generation: 0, kind: 'train', workflowId: 'w', lock: '/x', memoryRung: 0 },
      resume: number === 1 ? null : { path: '/state', step: done },
    });
    await writeJsonDurable(launch.process, {
      ...{ version: 1, run: run.reservation.run, kind: 'train', workflowId: 'w', stateDirectory: '/x', bootId: 'b' },
      ...{ pid: 1, processGroup: 1, startTime: 1, trainerPid: 1, trainerStartTime: 1, commandSha256: null },
      launchedAt: time(minute),
    });
    await writeJsonDurable(launch.exit, {
      ...{
        version: 1,
        code: number === 1 ? null : 0,
        signal: number === 1 ? 'SIGKILL' : null,
        endedAt: time(minute + 15),
      },
    });
  }
  await writeJsonDurable(files.settled, {
    ...{ version: 1, outcome: 'done', driver: 'kohya', simulated, launches: 2, memoryRung: 0 },
    artefact: { path: '/x', sha256: 'a'.repeat(64), bytes: 5 },
    steps: {
      ...{ planned, executed: planned, redone: 4 },
      segments: [
        { launch: 1, from: 1, to: half * stepsPerEpoch },
        { launch: 2, from: half * stepsPerEpoch + 1, to: planned },
      ],
    },
    ...{ trainLoss: 0.081, heldOutLoss: 0.09, settledAt: time(36) },
  });
}

async function writeRecords(run: CharacterRun, { epochs, simulated }: { epochs: number; simulated: boolean }) {
  const { paths, job, reservation } = run;
  const samples = join(paths.directory, 'output', 'sample');
  const candidates = [];
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const drawn = [1, 2].map((number) => join(samples, `${job.output}_e${epoch}_${number}.png`));
    for (const [index, path] of drawn.entries()) await picture(path, epoch * 10 + index);
    const heldOutLoss = 0.1 + 0.0009 * (epoch - 7) ** 2 + 0.0006 * Math.sin(epoch * 2.4);
    candidates.push({
      ...{
        epoch,
        path: `/x/${epoch}.safetensors`,
        sha256: 'b'.repeat(64),
        trainLoss: 0.15 - epoch * 0.005,
        heldOutLoss,
      },
      samples: drawn,
    });
  }
  await writeJsonDurable(paths.choice, chooseEpoch(candidates));
  const loraName = `${job.output}${simulated ? '-simulated' : ''}-v1.safetensors`;
  await writeJsonDurable(paths.delivery, {
    ...{
      loraName,
      path: `/models/loras/${loraName}`,
      version: 1,
      sha256: 'c'.repeat(64),
      bytes: 38_000_000,
      simulated,
    },
    ...{ sidecar: '/models/loras/x.json', alias: null, aliasRefused: null, publishedAt: time(38) },
  });
  const proofs = ['without-lora', 'with-lora'].map((name) => join(paths.proofImages, `${name}.png`));
  for (const [index, path] of proofs.entries()) await picture(path, 500 + index, { width: 256, height: 256 });
  await writeJsonDurable(paths.proof, {
    ...{
      loraName,
      prompt: `${job.trigger}, 1girl`,
      seed: 42,
      strength: 1,
      withoutLora: proofs[0],
      withLora: proofs[1],
    },
    ...{ meanAbsolute: 17.42, changedShare: 0.9731, simulated },
  });
  await writeJsonDurable(join(paths.directory, 'comfyui.json'), {
    ...{ version: `0.12.1${simulated ? '+simulated' : ''}`, simulated, devices: ['cuda:0 NVIDIA GeForce RTX 3060'] },
  });
  await writeJsonDurable(join(paths.directory, 'stage-faults.json'), [
    {
      at: time(2),
      stage: 'generate',
      owner: 'x',
      code: 'COMFYUI_UNREACHABLE',
      message: 'ComfyUI did not answer for 12 s',
    },
  ]);
  await writeJsonDurable(paths.outcome, {
    ...{ outcome: simulated ? 'simulated' : 'succeeded', endedAt: time(41) },
    reason: `${loraName} is in ComfyUI and proven, run ${reservation.run}`,
  });
}
