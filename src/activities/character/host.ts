import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { captionDataset, requireEnoughImages } from '../../character/caption-dataset.js';
import { openRun } from '../../character/character-run.js';
import { readJournal } from '../../character/journal.js';
import { applyReview } from '../../character/review.js';
import { writeGenerationMetadata } from '../../character/seed-files.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked, runSchema } from '../inputs.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { clearPromptsOf } from './clear-prompts.js';
import { comfyuiClient } from './comfyui.js';
import { deliverRun } from './deliver-run.js';
import { reviewInputSchema } from './inputs.js';
import type { CaptionRecord, CharacterHostActivities, ImageCounts } from './interfaces.js';
import { prepareCharacter } from './prepare-character.js';
import { stageWork } from './stage-work.js';

/** Activities of the Character LoRA on the `gpu-<host>` queue. */
export function createCharacterHostActivities(environment: WorkerEnvironment): CharacterHostActivities {
  const { config, paths, log } = environment;
  const periodMs = config.worker.heartbeatSeconds * 1000;

  async function countImages(input: unknown): Promise<ImageCounts> {
    const { job, paths: files } = await openRun(join(paths.runs, checked(runSchema, input).run));
    const { accepted, rejected } = await readJournal(files.journal);
    return { planned: job.count, accepted: accepted.size, rejected: rejected.length };
  }

  return {
    ...prepareCharacter(environment),
    countImages,

    async clearPrompts(input) {
      const { run } = checked(runSchema, input);
      const context = Context.current();
      const options = { signal: context.cancellationSignal, log };
      const cleared = await withHeartbeat(context, periodMs, () =>
        clearPromptsOf(comfyuiClient(environment), run, options),
      );
      return { cleared };
    },

    async finishImages(input) {
      const stage = { run: checked(runSchema, input).run, stage: 'generate' } as const;
      return stageWork<object, ImageCounts>(environment, stage, async (run) => {
        await writeGenerationMetadata(run);
        await requireEnoughImages(run);
        return countImages(input);
      });
    },

    async captionCharacter(input) {
      const stage = { run: checked(runSchema, input).run, stage: 'tag' } as const;
      return stageWork<object, CaptionRecord>(environment, stage, async (run, options) => {
        const { images, kept, withoutAttributes } = await captionDataset(run, options);
        return { images, kept, withoutMetadata: withoutAttributes, contactSheet: run.dataset.contactSheet };
      });
    },

    async reviewCharacter(input) {
      const { run, decision } = checked(reviewInputSchema, input);
      return applyReview(await openRun(join(paths.runs, run)), decision);
    },

    ...deliverRun(environment),
  };
}
