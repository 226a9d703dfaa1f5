import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { captionDataset, requireEnoughImages } from '../../character/caption-dataset.js';
import { openRun } from '../../character/character-run.js';
import { writeContactSheets } from '../../character/contact-sheet.js';
import { readReservation } from '../../character/dataset.js';
import { applyReview } from '../../character/review.js';
import { writeGenerationMetadata } from '../../character/seed-files.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked, runSchema } from '../inputs.js';
import { endingUnexpected } from '../unexpected.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { clearPromptsOf } from './clear-prompts.js';
import { comfyuiClient } from './comfyui.js';
import { deliverRun } from './deliver-run.js';
import { countedImages } from './ended-turn.js';
import { reviewInputSchema } from './inputs.js';
import type { CaptionRecord, CharacterHostActivities, ImageCounts } from './interfaces.js';
import { prepareCharacter } from './prepare-character.js';
import { stageWork } from './stage-work.js';

/** Activities of the Character LoRA on the `gpu-<host>` queue. */
export function createCharacterHostActivities(environment: WorkerEnvironment): CharacterHostActivities {
  const { config, paths, log } = environment;
  const periodMs = config.worker.heartbeatSeconds * 1000;

  return endingUnexpected<CharacterHostActivities>({
    ...prepareCharacter(environment),
    async countImages(input) {
      const { run } = checked(runSchema, input);
      return withHeartbeat(Context.current(), periodMs, async () =>
        countedImages(await openRun(join(paths.runs, run))),
      );
    },

    async clearPrompts(input) {
      const { run } = checked(runSchema, input);
      const context = Context.current();
      const options = { signal: context.cancellationSignal, log };
      const { renderKey } = await readReservation(join(paths.runs, run));
      const cleared = await withHeartbeat(context, periodMs, () =>
        clearPromptsOf(comfyuiClient(environment), renderKey, options),
      );
      return { cleared };
    },

    async finishImages(input) {
      const stage = { run: checked(runSchema, input).run, stage: 'generate' } as const;
      return stageWork<object, ImageCounts>(environment, stage, async (run, options) => {
        await writeGenerationMetadata(run);
        const images = await requireEnoughImages(run);
        // Otherwise they come with the captions.
        if (!run.job.stages.includes('tag')) {
          await writeContactSheets(run, images, options);
        }
        return countedImages(run);
      });
    },

    async captionCharacter(input) {
      const stage = { run: checked(runSchema, input).run, stage: 'tag' } as const;
      return stageWork<object, CaptionRecord>(environment, stage, async (run, options) => {
        const { images, kept, withoutAttributes, highestNumber } = await captionDataset(run, options);
        const { contactSheet } = run.dataset;
        return { images, kept, withoutMetadata: withoutAttributes, contactSheet, highestNumber };
      });
    },

    async reviewCharacter(input) {
      const { run, decision } = checked(reviewInputSchema, input);
      const context = Context.current();
      // A decision may name thousands of images, each with writes that wait for the disk.
      return withHeartbeat(context, periodMs, async () =>
        applyReview(await openRun(join(paths.runs, run)), decision, { signal: context.cancellationSignal }),
      );
    },

    ...deliverRun(environment),
  });
}
