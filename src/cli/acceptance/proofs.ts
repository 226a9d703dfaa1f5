import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import sharp from 'sharp';

import { namesIn } from '../../files/absent.js';
import { exists } from '../../files/exists.js';
import { sha256OfFile } from '../../files/sha256.js';
import { readSafetensorsHeader, readTensorContents } from '../../training/safetensors.js';
import type { EndedRun } from './ended-run.js';
import type { AcceptanceOptions } from './options.js';
import { lookingFor, type Proof } from './proof.js';
import type { RealComfyui } from './real-comfyui.js';

interface ProofPlace {
  readonly comfyui: RealComfyui;
  readonly options: AcceptanceOptions;
}

/** Looks at what is there now, not at what the run says of itself, wherever both can be had. */
export async function proofsOf(run: EndedRun, place: ProofPlace): Promise<Proof[]> {
  return [
    { what: 'The run came to its end', by: run.reason.split('\n', 1)[0] ?? '', holds: run.outcome !== 'failed' },
    ...(await lookingFor('A real ComfyUI rendered', () => comfyuiProof(run, place))),
    ...programProofs(run, place),
    ...(await lookingFor('Every image was rendered, fetched and decoded', () => datasetProofs(run, place))),
    ...trainingProofs(run),
    ...(await lookingFor('The LoRA is in ComfyUI', () => loraProofs(run, place))),
  ];
}

async function comfyuiProof({ dataset }: EndedRun, { comfyui }: ProofPlace): Promise<Proof[]> {
  const { version, simulated, devices } = await comfyui.client.serverFacts();
  const rendered = dataset === null ? [] : (await filesOf(dataset)).filter(isPicture);
  const nothing = rendered.length === 0 ? ', but no image came of it' : '';
  const by = `version ${version} on ${devices[0] ?? 'an unnamed device'}${simulated ? ', which is SIMULATED' : ''}${nothing}`;
  return [{ what: 'A real ComfyUI rendered', by, holds: !simulated && rendered.length > 0 }];
}

function programProofs({ training, outcome, simulated }: EndedRun, { options }: ProofPlace): Proof[] {
  const trainer = training?.simulated === true ? 'its stand-in, which is SIMULATED' : options.sdScripts;
  return [
    {
      what: 'A real sd-scripts trained',
      by: training === null ? 'no training came to its end' : trainer,
      holds: training?.simulated === false,
    },
    {
      what: 'Nothing was simulated',
      by: `the run ended as ${outcome}`,
      holds: outcome === 'succeeded' && !simulated,
    },
  ];
}

const isPicture = (name: string) => name.endsWith('.png');

async function filesOf(dataset: string): Promise<string[]> {
  return (await namesIn(join(dataset, 'images'))).sort();
}

async function datasetProofs({ dataset, images, captions }: EndedRun, { options }: ProofPlace): Promise<Proof[]> {
  if (dataset === null) {
    return [{ what: 'Every image was rendered, fetched and decoded', by: 'no dataset was begun', holds: false }];
  }
  const folder = join(dataset, 'images');
  const files = await filesOf(dataset);
  const pictures = files.filter(isPicture);
  const sizes = await Promise.all(
    pictures.map((name) =>
      sharp(join(folder, name))
        .stats()
        .then(() => sharp(join(folder, name)).metadata()),
    ),
  );
  const hashes = new Set(await Promise.all(pictures.map((name) => sha256OfFile(join(folder, name)))));
  const texts = await Promise.all(
    files.filter((name) => name.endsWith('.txt')).map((name) => readFile(join(folder, name), 'utf8')),
  );
  const whole = sizes.filter(({ width, height }) => width === options.size && height === options.size).length;
  return [
    {
      what: 'Every image was rendered, fetched and decoded',
      by: `${pictures.length} of ${options.images} files, ${whole} of them ${options.size}×${options.size}, ${hashes.size} different; ${images?.rejected ?? 0} rejected on the way`,
      holds: [pictures.length, whole, hashes.size].every((count) => count === options.images),
    },
    {
      what: 'Every image has a caption of its own',
      by: `${texts.length} captions, ${new Set(texts).size} different${captions === null ? '' : `, ${captions.withoutMetadata} without metadata`}`,
      holds: new Set(texts).size === options.images && texts.every((text) => text.trim() !== ''),
    },
    {
      what: 'The dataset tells what it is',
      by: 'generation_metadata.json, tagging_results.json, contact-sheet.jpg',
      holds: (
        await Promise.all(
          ['generation_metadata.json', 'tagging_results.json', 'contact-sheet.jpg'].map((name) =>
            exists(join(dataset, name)),
          ),
        )
      ).every(Boolean),
    },
  ];
}

function trainingProofs({ training, chosen }: EndedRun): Proof[] {
  const loss = training?.trainLoss?.toFixed(4) ?? 'not reported';
  return [
    {
      what: 'sd-scripts trained every planned step once',
      by: `${training?.executedSteps ?? 0} of ${training?.plannedSteps ?? 0} steps, ${training?.redoneSteps ?? 0} redone, ${training?.launches ?? 0} start(s), loss ${loss}`,
      holds: training !== null && training.executedSteps === training.plannedSteps && training.plannedSteps > 0,
    },
    { what: 'The epoch was chosen for a reason', by: chosen?.reason ?? 'none was chosen', holds: chosen !== null },
  ];
}

async function loraProofs({ lora, proof }: EndedRun, { comfyui }: ProofPlace): Promise<Proof[]> {
  if (lora?.outcome !== 'published') {
    return [{ what: 'The LoRA is in ComfyUI', by: lora?.reason ?? 'nothing was published', holds: false }];
  }
  const { mode, size } = await stat(lora.file);
  const listed = await comfyui.client.models('loras');
  const metadata = await comfyui.client.viewMetadata('loras', lora.name);
  const { tensors } = await readSafetensorsHeader(lora.file);
  const ups = tensors.filter(({ name }) => name.endsWith('.lora_up.weight'));
  const contents = [...(await readTensorContents(lora.file, ups)).values()];
  const trained = contents.filter(({ allZero, finite }) => !allZero && finite).length;
  const hash = await sha256OfFile(lora.file);
  return [
    {
      what: 'The LoRA is whole and readable for all',
      by: `${tensors.length} tensors, ${size} bytes, mode ${(mode & 0o777).toString(8)}, SHA-256 as recorded`,
      holds: tensors.length > 0 && (mode & 0o777) === 0o644 && hash === lora.sha256,
    },
    {
      what: 'It was really trained',
      by: `${trained} of ${ups.length} modules have weights that are neither zero nor infinite`,
      holds: ups.length > 0 && trained > 0 && contents.every(({ finite }) => finite),
    },
    {
      what: 'ComfyUI lists it and reads its metadata',
      by: `${lora.name}, ss_network_dim ${metadata?.['ss_network_dim'] ?? 'missing'}, ss_steps ${metadata?.['ss_steps'] ?? 'missing'}`,
      holds: listed.includes(lora.name) && metadata !== undefined,
    },
    {
      what: 'The LoRA changes the picture at the same seed',
      by:
        proof === null
          ? 'no proof was rendered'
          : `${(proof.changedShare * 100).toFixed(1)} % of the pixels, ${proof.meanAbsolute.toFixed(2)} of 255 on average`,
      holds: proof !== null && proof.changedShare > 0,
    },
    {
      what: 'A sidecar tells where it comes from',
      by: basename(lora.file).replace(/\.safetensors$/, '.json'),
      holds: await exists(lora.file.replace(/\.safetensors$/, '.json')),
    },
  ];
}
