import { randomUUID } from 'node:crypto';
import { rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import type { CharacterJob } from '../../character/job.js';
import { namingRefusal } from '../../character/refused.js';
import { requireScorer } from '../../character/scorer.js';
import { loadGraph } from '../../comfyui/graph-template.js';
import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { exists } from '../../files/exists.js';
import { baseModels } from '../../kohya/base-model.js';
import { probeInstallation, scriptFor, type KohyaInstallation } from '../../kohya/installation.js';
import { kindOfFile } from '../../kohya/model-kind.js';
import { meansModelPath } from '../../kohya/model-path.js';
import type { Log } from '../../log/logger.js';
import type { KohyaOptions } from '../../kohya/options.js';
import { createOrder } from '../../kohya/order.js';
import { requireSupported } from '../../kohya/prepare-run.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { checkpointPath, loraDirectory } from './comfyui.js';
import { kohyaOptions, pythonOf, samplesOf } from './kohya-driver.js';

/** Options of the trainer that name a model. */
const modelOptions = ['pretrained_model_name_or_path', 'vae', 'network_weights', 'clip_l', 't5xxl', 'ae'] as const;

/**
 * Looks for what the training and the delivery need, before hours of rendering: sd-scripts, models that are there and fit each
 * other, a scorer that can be started, and ComfyUI's folder for LoRAs.
 *
 * @throws TowerError `SD_SCRIPTS_NOT_FOUND`, `SD_SCRIPTS_TOO_OLD`, `BASE_MODEL_MISSING`, `BASE_MODEL_KIND_DIFFERS`,
 * `BITSANDBYTES_MISSING`, `KOHYA_OPTION_UNSUPPORTED`, `KOHYA_FOLDER_MISSING`, `SCORER_NOT_FOUND`,
 * `LORAS_FOLDER_MISSING`, `NO_PERMISSION`; none is retryable, but `DISK_FULL` is.
 */
export async function checkTrainingPlace(
  environment: Pick<WorkerEnvironment, 'config' | 'log'>,
  job: CharacterJob,
): Promise<void> {
  const { sdScripts: folder, python } = environment.config.character;
  const options = kohyaOptions(environment, job);
  let scripts: string | undefined;
  // The stand-in needs neither.
  if (folder !== undefined) {
    const installation = await probeInstallation({ folder, python: await pythonOf(folder, python) });
    scripts = installation.root;
    await scriptFor(installation, job.baseModelKind);
    for (const name of modelOptions) await requireModel(name, options[name], scripts);
    for (const weights of options.base_weights ?? []) await requireModel('base_weights', weights, scripts);
    await requireTrainerFolders(options);
    requireOptions({ job, options, log: environment.log }, installation);
  }
  await refuseOtherKind(environment, job, { options, scripts });
  if (job.choose.scorer !== null) await requireScorer(job.choose.scorer);
  await requireWritableFolder(loraDirectory(environment));
}

/** Whatever the installed scripts would pass over, or stumble over hours later. */
function requireOptions(
  { job, options, log }: { readonly job: CharacterJob; readonly options: KohyaOptions; readonly log: Log },
  { capabilities }: KohyaInstallation,
): void {
  const { optimizer_type: optimiser } = options;
  if (/^(?!.*\.)(paged.*|.*8bit)$|^bitsandbytes\./i.test(optimiser) && !capabilities.bitsandbytes) {
    throw new TowerError(
      'BITSANDBYTES_MISSING',
      `kohya.optimizer_type ${optimiser} needs bitsandbytes, which is not installed beside sd-scripts`,
      { next: 'Install bitsandbytes into the Python environment of sd-scripts, or take another optimiser (AdamW).' },
    );
  }
  const order = createOrder(
    {
      ...{ runId: '', runDirectory: '/', baseModelKind: job.baseModelKind, options, images: '/', oneSize: true },
      ...{ samples: samplesOf(job), outputName: job.output, log },
    },
    // fp16: what only other precisions are told is less.
    { name: 'kohya', simulated: false, precision: 'fp16', device: 'cuda', capabilities },
  );
  const { validation_split: share } = options;
  requireSupported(order, share > 0 && capabilities.validation ? share : undefined);
}

/** sd-scripts makes the folder of tokenizers itself, but nothing around it. */
async function requireTrainerFolders({ reg_data_dir, tokenizer_cache_dir }: KohyaOptions): Promise<void> {
  for (const [name, folder] of [
    ['reg_data_dir', reg_data_dir],
    ['tokenizer_cache_dir', tokenizer_cache_dir === undefined ? undefined : dirname(tokenizer_cache_dir)],
  ] as const) {
    if (folder === undefined || (await stat(folder).catch(undefinedIfAbsent))?.isDirectory() === true) continue;
    throw new TowerError('KOHYA_FOLDER_MISSING', `${folder}, which kohya.${name} needs, is no folder`, {
      next: `Correct kohya.${name} of the job.`,
    });
  }
}

async function requireModel(
  name: (typeof modelOptions)[number] | 'base_weights',
  model: string | undefined,
  scripts: string,
): Promise<void> {
  // Else it may be the name of a model on the hub. The scripts run in their own folder.
  if (model === undefined || !meansModelPath(model) || (await exists(resolve(scripts, model)))) return;
  const isBase = name === 'pretrained_model_name_or_path';
  throw new TowerError(
    'BASE_MODEL_MISSING',
    isBase ? `${model}, the base model of the training, is not there` : `${model}, kohya.${name}, is not there`,
    {
      next: isBase
        ? 'Correct checkpoint or kohya.pretrained_model_name_or_path of the job, or comfyui.checkpointDirectory.'
        : `Correct kohya.${name} of the job.`,
    },
  );
}

/** A LoRA does nothing in a model of another kind, which only the proof would show. */
async function refuseOtherKind(
  environment: Pick<WorkerEnvironment, 'config'>,
  { checkpoint, graph, baseModelKind: wanted }: CharacterJob,
  { options, scripts }: { readonly options: KohyaOptions; readonly scripts: string | undefined },
): Promise<void> {
  const { pretrained_model_name_or_path: base, network_weights: earlier } = options;
  // A graph of one's own may load its model itself.
  const renders = (await loadGraph(graph)).placeholders.has('checkpoint');
  for (const [what, path] of [
    ['the base model of the training', base],
    ['the checkpoint that renders', renders ? checkpointPath(environment, checkpoint) : undefined],
    ['kohya.network_weights', earlier],
  ] as const) {
    const kind = path === undefined ? undefined : await kindOfFile(resolve(scripts ?? '', path));
    if (kind === undefined || kind === wanted) continue;
    const found = `${what}, ${path}, is of ${baseModels[kind].name}`;
    throw new TowerError('BASE_MODEL_KIND_DIFFERS', `${found}; the job trains for ${baseModels[wanted].name}`, {
      next: `Set baseModelKind to ${kind} (--base-model-kind), or name models of one kind: checkpoint, --base-model.`,
      details: { path, kind, wanted },
    });
  }
}

async function requireWritableFolder(folder: string): Promise<void> {
  if ((await stat(folder).catch(undefinedIfAbsent))?.isDirectory() !== true) {
    throw new TowerError('LORAS_FOLDER_MISSING', `${folder} is no folder`, {
      next: "Set comfyui.directory or comfyui.loraDirectory to the folder of ComfyUI whose LoRAs it lists; Tower doesn't make it.",
    });
  }
  // Tried, not asked: permissions of network file systems promise what they do not keep.
  const probe = join(folder, `.tower-${randomUUID()}.tmp`);
  await namingRefusal(folder, async () => {
    try {
      await writeFile(probe, '', { flag: 'wx' });
    } finally {
      await rm(probe, { force: true });
    }
  });
}
