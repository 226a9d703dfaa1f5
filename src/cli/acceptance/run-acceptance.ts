import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

import { Client, Connection } from '@temporalio/client';
import { stringify } from 'smol-toml';

import { statePaths } from '../../config/state-paths.js';
import { loadConfig } from '../../config/load-config.js';
import { TowerError } from '../../errors.js';
import { writeFileDurable } from '../../files/durable-write.js';
import { createLog } from '../../log/create-log.js';
import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import { startCharacterRun } from '../character/start-character-lora.js';
import { readJob } from '../character/read-job.js';
import type { CommandContext } from '../command-context.js';
import { durationText } from '../durations.js';
import { interruptible } from '../interruption.js';
import type { Output } from '../output.js';
import { createProgressView } from '../runs/progress-view.js';
import { watchWorkflow } from '../runs/watch-workflow.js';
import type { WorkflowOutcome } from '../runs/workflow-outcome.js';
import { tableText } from '../table.js';
import { startServer } from '../up/embedded-server.js';
import { startControlWorker, startGpuWorker, type WorkerProcess } from '../up/tower-processes.js';
import type { AcceptanceOptions } from './options.js';
import { proofsOf, type Proof } from './proofs.js';
import { openComfyui, type RealComfyui } from './real-comfyui.js';

/** Runs everything, prints the table of what was proven. @returns whether all of it was. */
export async function runAcceptance(options: AcceptanceOptions, output: Output): Promise<boolean> {
  const home = resolve(options.home ?? (await mkdtemp(join(tmpdir(), 'tower-acceptance-'))));
  await mkdir(home, { recursive: true });
  output.say(`State directory ${home}`);
  const log = createLog({ file: statePaths(home).logFile, level: 'info', role: 'acceptance' });
  return interruptible(async (interrupted) => {
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(options.timeout * 60_000)]);
    const comfyui = await openComfyui(options, { home, log, signal });
    try {
      const started = performance.now();
      const context = await contextIn(home, { options, comfyui, output });
      const outcome = await runCharacter(context, { options, comfyui, log, signal });
      if (outcome.status !== 'completed') {
        const { code = 'UNEXPECTED', message = 'no reason given', next = null } = outcome.failure ?? {};
        throw new TowerError(code, message, next === null ? {} : { next });
      }
      const proofs = await proofsOf(outcome.result as CharacterLoraResult, { comfyui, home, options });
      const took = durationText(performance.now() - started);
      const json = { home, took, proofs, result: outcome.result };
      output.result(json, `${proofTable(proofs)}\n\nTook ${took}; everything lies in ${home}`);
      return proofs.every(({ holds }) => holds);
    } finally {
      await comfyui.close();
    }
  });
}

interface Parts {
  readonly options: AcceptanceOptions;
  readonly comfyui: RealComfyui;
}

async function contextIn(
  home: string,
  { options, comfyui, output }: Parts & { readonly output: Output },
): Promise<CommandContext> {
  const file = join(home, 'tower.toml');
  const settings = {
    host: 'acceptance',
    comfyui: { url: comfyui.address, directory: comfyui.directory },
    character: {
      sdScripts: resolve(options.sdScripts),
      ...(options.python !== undefined && { python: options.python }),
      // The machine need not be large for this size; what it has is what counts.
      imageVramGigabytes: 0,
      trainVramGigabytes: 0,
    },
    train: { minimumFreeGigabytes: 0 },
  };
  await writeFileDurable(file, stringify(settings));
  const loaded = await loadConfig({ env: { TOWER_CONFIG: file, TOWER_HOME: home }, settings: [] });
  return { ...loaded, output, paths: statePaths(loaded.home) };
}

async function runCharacter(
  context: CommandContext,
  {
    options,
    comfyui,
    log,
    signal,
  }: Parts & { readonly log: ReturnType<typeof createLog>; readonly signal: AbortSignal },
): Promise<WorkflowOutcome> {
  const server = await startServer(context, { log, signal });
  const workers: WorkerProcess[] = [];
  try {
    const workerOptions = { context, globalArguments: ['--config', join(context.home, 'tower.toml')] };
    workers.push(await startControlWorker(workerOptions), await startGpuWorker(0, workerOptions));
    const connection = await Connection.connect({ address: server.address, connectTimeout: '10s' });
    const view = await createProgressView(context.output);
    try {
      const client = new Client({ connection, namespace: server.namespace });
      const { fields } = await readJob(await jobOptions(options, comfyui));
      const { workflowId } = await startCharacterRun(client, { job: fields });
      context.output.say(`Started ${workflowId}; Web UI ${server.uiAddress}`);
      return await watchWorkflow({ client, connection }, { workflowId }, view, signal);
    } finally {
      view.close();
      await connection.close();
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await server.stop();
  }
}

/** Small in everything; `--with` changes what a program or a model needs otherwise. */
async function jobOptions(
  { images, size, steps, checkpoint, with: others = [] }: AcceptanceOptions,
  comfyui: RealComfyui,
) {
  return {
    name: 'Acceptance',
    description: '1girl, brown hair, blue eyes, fantasy armor, warrior',
    tags: '1girl, brown hair',
    count: images,
    minImages: images,
    size: { width: size, height: size },
    steps,
    checkpoint: checkpoint === undefined ? await onlyCheckpoint(comfyui) : basename(checkpoint),
    epochs: 1,
    networkDim: 4,
    networkAlpha: 2,
    with: ['kohya.num_repeats=1', 'kohya.lr_warmup_steps=0', 'kohya.max_data_loader_n_workers=0', ...others],
  };
}

async function onlyCheckpoint({ client, address }: RealComfyui): Promise<string> {
  const listed = await client.models('checkpoints');
  const [only, ...others] = listed;
  if (only !== undefined && others.length === 0) return only;
  throw new TowerError('USAGE', `ComfyUI at ${address} lists ${listed.length} checkpoints`, {
    next: `Choose one by --checkpoint${listed.length === 0 ? '' : `: ${listed.slice(0, 8).join(', ')}`}.`,
  });
}

function proofTable(proofs: readonly Proof[]): string {
  return tableText(
    ['', 'PROVEN', 'BY'],
    proofs.map(({ holds, what, by }) => [holds ? 'yes' : 'NO', what, by]),
  );
}
