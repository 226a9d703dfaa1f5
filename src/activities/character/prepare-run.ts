import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { createRun, openRun, type CharacterRun } from '../../character/character-run.js';
import { reserveRun } from '../../character/dataset.js';
import type { CharacterJob } from '../../character/job.js';
import { planImages } from '../../character/plan.js';
import { characterRunPaths } from '../../character/run-paths.js';
import { checkGraph } from '../../comfyui/check-graph.js';
import type { ComfyuiClient, ServerFacts } from '../../comfyui/client.js';
import { fillGraph, loadGraph } from '../../comfyui/graph-template.js';
import { withLora } from '../../comfyui/with-lora.js';
import { TowerError } from '../../errors.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { exists } from '../../files/exists.js';
import type { ServiceOptions } from '../../service-options.js';
import type { RunOwner } from '../../training/run-owner.js';
import { imageValues } from './image-values.js';

export interface RunRequest {
  readonly job: CharacterJob;
  /** Folder of the datasets. */
  readonly datasets: string;
  /** Folder of the runs. */
  readonly runs: string;
  /** Names the workflow that asks, for good. */
  readonly owner: string;
  /** An earlier run that is to go on. */
  readonly run: string | undefined;
}

/** Reserves the folders of a run and writes its job and plan; or takes an earlier run over. Repeatable. */
export async function makeRun({ job, datasets, runs, owner, run }: RunRequest): Promise<CharacterRun> {
  // A job that is not the run's own is refused.
  const runDirectory =
    run === undefined ? (await reserveRun({ datasets, runs, job, owner })).runDirectory : join(runs, run);
  // What this very workflow has begun stays as it was read then, whatever the defaults are by now.
  const isBegun = run === undefined && (await exists(characterRunPaths(runDirectory).job));
  const made = isBegun ? await openRun(runDirectory) : await createRun(runDirectory, job);
  // How an earlier workflow ended is not how this one does.
  await rm(made.paths.outcome, { force: true });
  if (job.stages.includes('generate') && !(await exists(made.paths.plan))) {
    await writeJsonDurable(made.paths.plan, planImages(job));
  }
  return made;
}

/** @throws TowerError `RUN_IN_USE` while the workflow that it belongs to is open. */
export async function refuseRunInUse(
  run: string,
  owner: RunOwner | undefined,
  { workflowId, isOpen }: { readonly workflowId: string; readonly isOpen: (workflowId: string) => Promise<boolean> },
): Promise<void> {
  if (owner === undefined || owner.workflowId === workflowId || !(await isOpen(owner.workflowId))) return;
  throw new TowerError('RUN_IN_USE', `${run} belongs to ${owner.workflowId}, which is still running`, {
    next: `Cancel ${owner.workflowId} first, or let it end.`,
  });
}

/**
 * Checks the job's graph against the ComfyUI that will run it, before anything is made: nodes, checkpoint, sampler, scheduler.
 * A ComfyUI that is away is waited for.
 *
 * @throws TowerError `GRAPH_UNUSABLE`, `GRAPH_INVALID`, `GRAPH_WITHOUT_LOADER`; `COMFYUI_UNREACHABLE` (final) when it is away for too long.
 */
export async function checkJobGraph(
  job: CharacterJob,
  { client, awayMs }: { readonly client: ComfyuiClient; readonly awayMs: number },
  options: ServiceOptions<{ readonly stage: string }>,
): Promise<ServerFacts> {
  const template = await loadGraph(job.graph);
  const values = imageValues(job, { prompt: job.description, negative: '', seed: job.seed, prefix: 'tower/check' });
  const graph = fillGraph(template, values);
  // After hours of training, the proof would find that it has no place for the LoRA.
  if (job.stages.includes('train')) withLora(graph, { loraName: job.output, strength: job.proof.strength });
  const facts = await whenThere(client, awayMs, options);
  await checkGraph(client, graph, { signal: options.signal });
  return facts;
}

const pollMs = 2_000;

async function whenThere(
  client: ComfyuiClient,
  awayMs: number,
  { signal, onProgress, log }: ServiceOptions<{ readonly stage: string }>,
): Promise<ServerFacts> {
  const deadline = performance.now() + awayMs;
  for (let told = false; ; told = true) {
    try {
      return await client.serverFacts({ signal });
    } catch (error) {
      if (!(error instanceof TowerError) || !error.retryable) throw error;
      if (performance.now() > deadline) {
        const message = `${error.message}; it was waited for, ${Math.round(awayMs / 1000)} s (comfyui.awayMinutes)`;
        throw new TowerError(error.code, message, { next: 'Start ComfyUI, then start the job again.', cause: error });
      }
      if (!told) log.warn({ code: error.code }, `waiting for ComfyUI: ${error.message}`);
      onProgress?.({ stage: `waiting for ComfyUI: ${error.message}` });
      await delay(pollMs, undefined, { signal });
    }
  }
}
