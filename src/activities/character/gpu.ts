import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { openRun } from '../../character/character-run.js';
import type { ComfyuiClient } from '../../comfyui/client.js';
import type { Absence } from '../../comfyui/render/patience.js';
import type { ServiceOptions } from '../../service-options.js';
import type { RoomProgress } from '../../gpu/make-room.js';
import { superviseRun, trainingOutcome } from '../gpu-activities.js';
import { gaveWay, waitInTurn, withGpuTurn, type GpuTurn } from '../gpu-turn.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked, runReferenceSchema } from '../inputs.js';
import { makeRoomForImages, roomWait, type RoomWait } from '../make-room-for.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { clearPromptsWithin } from './clear-prompts.js';
import { comfyuiClient } from './comfyui.js';
import { endedTurn } from './ended-turn.js';
import { gpuReferenceSchema } from './inputs.js';
import type { CharacterGpuActivities, CharacterGpuReference, ProofRecord, RenderTurn } from './interfaces.js';
import { kohyaDriver } from './kohya-driver.js';
import { proveLora, type ProofProgress } from './prove-lora.js';
import { renderDataset, type RenderingProgress } from './render-dataset.js';
import { withStageBudget } from './stage-budget.js';
import { stageBudget } from './stage-work.js';

const minute = 60_000;
/** For looking at the queue of ComfyUI before the GPU is given back: somebody waits for it. */
const clearLimitMs = 3_000;

/** Activities of the Character LoRA on the `gpu-<host>-<index>` queue. */
export function createCharacterGpuActivities(environment: WorkerEnvironment): CharacterGpuActivities {
  const { config, paths } = environment;
  const directoryOf = (run: string) => join(paths.runs, run);
  const awayMs = config.comfyui.awayMinutes * minute;
  const absences = new Map<string, Absence>();

  return {
    async renderCharacter(input) {
      const reference = checked(gpuReferenceSchema, input);
      const run = await openRun(directoryOf(reference.run));
      return withStageBudget(await stageBudget(environment, run, 'generate'), () =>
        onGpu<RenderingProgress, RenderTurn>(
          { ...environment, absences },
          { ...reference, renderKey: run.reservation.renderKey, kind: 'render' },
          async (work) => {
            const { client, absence, turn, options } = work;
            const shouldStop = () => turn.yieldRequested;
            const stopped = await work.makeRoom();
            if (stopped === undefined) return renderDataset({ run, client, awayMs, absence, shouldStop }, options);
            return endedTurn(run, stopped.reason);
          },
        ),
      );
    },

    async trainCharacter(input) {
      const reference = checked(runReferenceSchema, input);
      const run = await openRun(directoryOf(reference.run));
      const vramGigabytes = config.character.trainVramGigabytes;
      const result = await withStageBudget(await stageBudget(environment, run, 'train'), () =>
        superviseRun(environment, reference, {
          driverOf: (own, id) => kohyaDriver(own, id, reference.gpuIndex),
          vramGigabytes,
          vramSetting: 'character.trainVramGigabytes',
        }),
      );
      return trainingOutcome(result);
    },

    async proveLora(input) {
      const reference = checked(gpuReferenceSchema, input);
      const run = await openRun(directoryOf(reference.run));
      return withStageBudget(await stageBudget(environment, run, 'deliver'), () =>
        onGpu<ProofProgress, ProofRecord>(
          { ...environment, absences },
          { ...reference, renderKey: run.reservation.renderKey, kind: 'prove' },
          async (work) => {
            const { client, absence, turn, options } = work;
            const stopped = await work.makeRoom();
            if (stopped !== undefined) throw gaveWay(stopped);
            return proveLora({ run, client, awayMs, absence, turn }, options);
          },
        ),
      );
    },
  };
}

interface ComfyuiWork<Progress extends object> {
  readonly client: ComfyuiClient;
  readonly absence: Absence;
  readonly turn: GpuTurn;
  readonly options: ServiceOptions<Progress>;
  /** Has others make room. @returns why that was given up, when the turn is to end first */
  readonly makeRoom: () => Promise<{ readonly reason: string } | undefined>;
}

/** Work of ComfyUI under the GPU's lock, with a heartbeat. Whoever is given the GPU finds nothing of the run in ComfyUI's queue. */
async function onGpu<Progress extends object, Result>(
  environment: WorkerEnvironment & { readonly absences: Map<string, Absence> },
  { run, renderKey, gpuIndex, kind }: CharacterGpuReference & { readonly renderKey: string; readonly kind: string },
  work: (work: ComfyuiWork<Progress>) => Promise<Result>,
): Promise<Result> {
  const context = Context.current();
  const client = comfyuiClient(environment);
  const { absences } = environment;
  const absence = absences.get(run) ?? { waitedMs: 0 };
  const log = environment.log.child({ runId: run });
  const periodMs = environment.config.worker.heartbeatSeconds * 1000;
  return withHeartbeat<Progress | RoomWait, Result>(context, periodMs, (onProgress) =>
    withGpuTurn(environment, context, { gpuIndex, run, kind }, async (turn) => {
      const onWait = (progress: RoomProgress) => onProgress(roomWait(progress));
      const room = (signal: AbortSignal) =>
        makeRoomForImages(environment, { client, gpuIndex, absence }, { signal, log, onProgress: onWait });
      try {
        return await work({
          ...{ client, absence, turn, options: { signal: turn.signal, onProgress, log } },
          makeRoom: () => waitInTurn(turn, room),
        });
      } finally {
        absences.delete(run);
        if (turn.yieldRequested !== undefined) {
          // The next turn goes on waiting: with turns shorter than that, nobody would ever give up.
          if (absence.waitedMs > 0) absences.set(run, absence);
          // Also what an attempt has left whose worker was killed.
          await clearPromptsWithin(client, renderKey, { limitMs: clearLimitMs, log });
        }
      }
    }),
  );
}
