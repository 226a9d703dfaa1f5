import { access, constants, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';

import type { CharacterJob } from '../../character/job.js';
import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { exists } from '../../files/exists.js';
import { probeInstallation, scriptFor } from '../../kohya/installation.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { loraDirectory } from './comfyui.js';
import { kohyaOptions, pythonOf } from './kohya-driver.js';

/**
 * Looks for what the training and the delivery need, before hours of rendering: sd-scripts, the base model, and ComfyUI's
 * folder for LoRAs.
 *
 * @throws TowerError `SD_SCRIPTS_NOT_FOUND`, `SD_SCRIPTS_TOO_OLD`, `BASE_MODEL_MISSING`, `LORAS_FOLDER_MISSING`,
 * `NO_PERMISSION`; none is retryable.
 */
export async function checkTrainingPlace(
  environment: Pick<WorkerEnvironment, 'config'>,
  job: CharacterJob,
): Promise<void> {
  const { sdScripts: folder, python } = environment.config.character;
  // The stand-in needs neither.
  if (folder !== undefined) {
    const installation = await probeInstallation({ folder, python: await pythonOf(folder, python) });
    await scriptFor(installation, job.baseModel);
    await requireBaseModel(kohyaOptions(environment, job).pretrained_model_name_or_path);
  }
  await requireWritableFolder(loraDirectory(environment));
}

async function requireBaseModel(model: string): Promise<void> {
  // What is no absolute path may be the name of a model on the hub.
  if (!isAbsolute(model) || (await exists(model))) return;
  throw new TowerError('BASE_MODEL_MISSING', `${model}, the base model of the training, is not there`, {
    next: 'Correct checkpoint or kohya.pretrained_model_name_or_path of the job, or comfyui.checkpointDirectory.',
  });
}

async function requireWritableFolder(folder: string): Promise<void> {
  if ((await stat(folder).catch(undefinedIfAbsent))?.isDirectory() !== true) {
    throw new TowerError('LORAS_FOLDER_MISSING', `${folder} is no folder`, {
      next: "Set comfyui.directory or comfyui.loraDirectory to the folder of ComfyUI whose LoRAs it lists; Tower doesn't make it.",
    });
  }
  try {
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw new TowerError('NO_PERMISSION', `${folder} cannot be written`, {
      cause,
      next: `Let the user that Tower runs as write to ${folder}.`,
    });
  }
}
