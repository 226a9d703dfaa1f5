import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { openRun } from '../../character/character-run.js';
import type { ServiceOptions } from '../../service-options.js';
import { superviseRun, trainingOutcome } from '../gpu-activities.js';
import { withGpuTurn, type GpuTurn } from '../gpu-turn.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked, runReferenceSchema } from '../inputs.js';
import { makeRoomForImages } from '../make-room-for.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { comfyuiClient } from './comfyui.js';
import { gpuReferenceSchema } from './inputs.js';
import type { CharacterGpuActivities, CharacterGpuReference, ProofRecord, RenderTurn } from './interfaces.js';
import { kohyaDriver } from './kohya-driver.js';
import { proveLora, type ProofProgress } from './prove-lora.js';
import { renderDataset, type RenderingProgress } from './render-dataset.js';
import { withStageBudget } from './stage-budget.js';
import { stageBudget } from './stage-work.js';

const minute = 60_000;

/** Activities of the Character LoRA on the `gpu-<host>-<index>` queue. */
export function createCharacterGpuActivities(environment: WorkerEnvironment): CharacterGpuActivities {
  const { config, paths } = environment;
  const directoryOf = (run: string) => join(paths.runs, run);
  const awayMs = config.comfyui.awayMinutes * minute;

  return {
    async renderCharacter(input) {
      const reference = checked(gpuReferenceSchema, input);
      const run = await openRun(directoryOf(reference.run));
      return withStageBudget(stageBudget(environment, run, 'generate'), () =>
        onGpu<RenderingProgress, RenderTurn>(environment, { ...reference, kind: 'render' }, (client, turn, options) =>
          renderDataset({ run, client, awayMs, shouldStop: () => turn.yieldRequested }, options),
        ),
      );
    },

    async trainCharacter(input) {
      const reference = checked(runReferenceSchema, input);
      const run = await openRun(directoryOf(reference.run));
      const vramGigabytes = config.character.trainVramGigabytes;
      const result = await withStageBudget(stageBudget(environment, run, 'train'), () =>
        superviseRun(environment, reference, {
          driverOf: (own, id) => kohyaDriver(own, id, reference.gpuIndex),
          vramGigabytes,
        }),
      );
      return trainingOutcome(result);
    },

    async proveLora(input) {
      const reference = checked(gpuReferenceSchema, input);
      const run = await openRun(directoryOf(reference.run));
      return withStageBudget(stageBudget(environment, run, 'deliver'), () =>
        onGpu<ProofProgress, ProofRecord>(environment, { ...reference, kind: 'prove' }, (client, _turn, options) =>
          proveLora({ run, client, awayMs }, options),
        ),
      );
    },
  };
}

/** Work of ComfyUI under the GPU's lock, with a heartbeat, after others have made room for it. */
async function onGpu<Progress extends object, Result>(
  environment: WorkerEnvironment,
  { run, gpuIndex, kind }: CharacterGpuReference & { readonly kind: string },
  work: (client: ReturnType<typeof comfyuiClient>, turn: GpuTurn, options: ServiceOptions<Progress>) => Promise<Result>,
): Promise<Result> {
  const context = Context.current();
  const client = comfyuiClient(environment);
  const log = environment.log.child({ runId: run });
  const periodMs = environment.config.worker.heartbeatSeconds * 1000;
  return withHeartbeat<Progress, Result>(context, periodMs, (onProgress) =>
    withGpuTurn(environment, context, { gpuIndex, run, kind }, async (turn) => {
      await makeRoomForImages(environment, { client, gpuIndex }, { signal: turn.signal, log });
      return work(client, turn, { signal: turn.signal, onProgress, log });
    }),
  );
}
