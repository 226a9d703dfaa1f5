import { join } from 'node:path';

import { openRun } from '../../character/character-run.js';
import { parseCharacterJob } from '../../character/job-file.js';
import type { CharacterJob } from '../../character/job.js';
import { slugOf } from '../../character/names.js';
import { comfyuiGpu } from '../../gpu/devices.js';
import { resolveOptions } from '../../kohya/base-model.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { comfyuiClient, loraDirectory } from './comfyui.js';
import type { CheckedCharacter, JobReference } from './interfaces.js';
import { kohyaOptions } from './kohya-driver.js';

const minuteMs = 60_000;

/**
 * Checks a job against its schema and against what this host is configured for, without touching anything.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID` with every fault, `KOHYA_OPTIONS_INVALID`, `COMFYUI_NOT_CONFIGURED`,
 * `SD_SCRIPTS_NOT_CONFIGURED`, `NOT_FOUND` (the run), `UNKNOWN_GPU` (`comfyui.gpu`); none is retryable.
 */
export async function checkJob(
  environment: WorkerEnvironment,
  { job: input, run }: JobReference,
): Promise<{ job: CharacterJob; checked: CheckedCharacter }> {
  const job =
    input === undefined && run !== undefined
      ? (await openRun(join(environment.paths.runs, run))).job
      : parseCharacterJob(input);
  if (rendersImages(job)) comfyuiClient(environment);
  if (job.stages.includes('train')) {
    loraDirectory(environment);
    // Its precision is the GPU's matter, and decides nothing here.
    resolveOptions(job.baseModelKind, kohyaOptions(environment, job), 'no');
  }
  const { limits, priority, review, minImages, stages, deliver } = job;
  const timeout = (minutes: number | null) => (minutes === null ? null : minutes * minuteMs);
  const checked: CheckedCharacter = {
    name: job.name,
    slug: slugOf(job.name),
    ...{ stages, priority, review, minImages, alias: deliver.alias },
    timeoutMs: {
      generate: timeout(limits.generate.timeoutMinutes),
      tag: timeout(limits.tag.timeoutMinutes),
      train: timeout(limits.train.timeoutMinutes),
      deliver: timeout(limits.deliver.timeoutMinutes),
    },
    ...(rendersImages(job) && { imagesGpuIndex: await comfyuiGpu(environment.config) }),
    maxConcurrent: environment.config.character.maxConcurrent,
  };
  return { job, checked };
}

/** The training ends with proof images. */
export function rendersImages({ stages }: Pick<CharacterJob, 'stages'>): boolean {
  return stages.includes('generate') || stages.includes('train');
}
