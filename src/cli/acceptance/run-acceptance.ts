import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Client, Connection } from '@temporalio/client';
import { stringify } from 'smol-toml';

import { statePaths } from '../../config/state-paths.js';
import { loadConfig } from '../../config/load-config.js';
import { TowerError } from '../../errors.js';
import { writeFileDurable } from '../../files/durable-write.js';
import { createLog } from '../../log/create-log.js';
import type { CharacterReport } from '../../report/character-report.js';
import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import { startCharacterRun } from '../character/start-character-lora.js';
import { readJob } from '../character/read-job.js';
import type { CommandContext } from '../command-context.js';
import { durationText } from '../durations.js';
import { exitCodeOf, exitCodes, type ExitCode } from '../exit-codes.js';
import { interruptible } from '../interruption.js';
import type { Output } from '../output.js';
import { createProgressView } from '../runs/progress-view.js';
import { watchWorkflow } from '../runs/watch-workflow.js';
import type { WorkflowOutcome } from '../runs/workflow-outcome.js';
import { tableText } from '../table.js';
import { startServer } from '../up/embedded-server.js';
import { stopLivingTrainers } from '../up/stop-living-trainers.js';
import { startControlWorker, startGpuWorker, type WorkerProcess } from '../up/tower-processes.js';
import { failedRun, recordsOf } from './ended-run.js';
import { leftBehindProof, readLeftBehind } from './left-behind.js';
import type { AcceptanceOptions } from './options.js';
import { lookingFor, type Proof } from './proof.js';
import { proofsOf } from './proofs.js';
import { listedCheckpoint, openComfyui, type RealComfyui } from './real-comfyui.js';
import { findSdScripts, type SdScriptsFolder } from './sd-scripts.js';

/** For the end of a run that nobody waits for any more. */
const endLimitMs = 120_000;

/** Runs everything, prints the table of what was proven, also for a run that has failed. @returns the exit code. */
export async function runAcceptance(options: AcceptanceOptions, output: Output): Promise<ExitCode> {
  const home = resolve(options.home ?? (await mkdtemp(join(tmpdir(), 'tower-acceptance-'))));
  await mkdir(home, { recursive: true });
  output.say(`State directory ${home}`);
  const log = createLog({ file: statePaths(home).logFile, level: 'info', role: 'acceptance' });
  return interruptible(async (interrupted) => {
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(options.timeout * 60_000)]);
    const sdScripts = await findSdScripts(options);
    const comfyui = await openComfyui(options, { home, log, signal }).catch((error: unknown) => {
      throw endedBy(signal.aborted ? signal.reason : error, options);
    });
    try {
      const started = performance.now();
      const context = await contextIn(home, { options, comfyui, sdScripts, output });
      const ended = await runCharacter(context, { options, comfyui, sdScripts, log, signal });
      const records = await recordsOf(context, ended.workflowId);
      const run = 'failure' in ended ? failedRun(ended.failure, records) : ended.result;
      const proofs = [...(await proofsOf(run, { comfyui, options })), ...ended.leftBehind];
      const faults = records?.faults ?? [];
      const took = durationText(performance.now() - started);
      output.result(
        { home, took, proofs, faults, result: run },
        [proofTable(proofs), faultsText(faults), `Took ${took}; everything lies in ${home}`].join('\n\n'),
      );
      if (!('failure' in ended)) return proofs.every(({ holds }) => holds) ? exitCodes.ok : exitCodes.failed;
      // In the JSON it is the reason of the result.
      if (!output.json) output.error(ended.failure);
      return ended.failure instanceof TowerError ? exitCodeOf(ended.failure.code) : exitCodes.failed;
    } finally {
      await comfyui.close();
    }
  });
}

interface Parts {
  readonly options: AcceptanceOptions;
  readonly comfyui: RealComfyui;
  readonly sdScripts: SdScriptsFolder;
}

async function contextIn(
  home: string,
  { options, comfyui, sdScripts, output }: Parts & { readonly output: Output },
): Promise<CommandContext> {
  const file = join(home, 'tower.toml');
  const settings = {
    host: 'acceptance',
    gpu: { nvidiaSmi: options.nvidiaSmi },
    comfyui: { url: comfyui.address, directory: comfyui.directory },
    character: {
      ...(sdScripts !== undefined && { sdScripts }),
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

type RunEnd = { readonly workflowId: string; readonly leftBehind: readonly Proof[] } & (
  { readonly result: CharacterLoraResult } | { readonly failure: unknown }
);

async function runCharacter(
  context: CommandContext,
  {
    options,
    comfyui,
    sdScripts,
    log,
    signal,
  }: Parts & { readonly log: ReturnType<typeof createLog>; readonly signal: AbortSignal },
): Promise<RunEnd> {
  const { fields } = await readJob(await jobOptions(options, { comfyui, sdScripts }));
  const server = await startServer(context, { log, signal });
  const workers: WorkerProcess[] = [];
  try {
    const workerOptions = { context, globalArguments: ['--config', join(context.home, 'tower.toml')] };
    workers.push(await startControlWorker(workerOptions), await startGpuWorker(0, workerOptions));
    const connection = await Connection.connect({ address: server.address, connectTimeout: '10s' });
    const view = await createProgressView(context.output);
    try {
      const client = new Client({ connection, namespace: server.namespace });
      const { workflowId } = await startCharacterRun(client, { job: fields });
      context.output.say(`Started ${workflowId}; Web UI ${server.uiAddress}`);
      const watched = watchWorkflow({ client, connection }, { workflowId }, view, signal);
      const end = await watched.then(endOf, async (error: unknown) => {
        // A trainer outlives its worker, and nobody would ever come back to this one.
        context.output.say(`ending ${workflowId}`);
        await endRun(client, workflowId);
        return { failure: endedBy(error, options) };
      });
      const leftBehind = await lookingFor('Nothing is left behind', async () => [
        leftBehindProof(await readLeftBehind(context, comfyui.client)),
      ]);
      return { workflowId, leftBehind, ...end };
    } finally {
      view.close();
      await connection.close();
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    // After a time-out or Ctrl-C one may still train.
    await stopLivingTrainers(context, { log });
    await server.stop();
  }
}

function endOf({
  status,
  failure,
  result,
}: WorkflowOutcome): { result: CharacterLoraResult } | { failure: TowerError } {
  if (status === 'completed') return { result: result as CharacterLoraResult };
  const { code = 'UNEXPECTED', message = 'no reason given', next = null } = failure ?? {};
  return { failure: new TowerError(code, message, next === null ? {} : { next }) };
}

/** Asks a run to end, and waits until it has, but not for ever. */
async function endRun(client: Client, workflowId: string): Promise<void> {
  const handle = client.workflow.getHandle(workflowId);
  await handle.cancel();
  const ended = handle.result().then(
    () => undefined,
    () => undefined,
  );
  await Promise.race([ended, delay(endLimitMs, undefined, { ref: false })]);
}

function endedBy(error: unknown, { timeout }: AcceptanceOptions): unknown {
  if (!(error instanceof Error) || error.name !== 'TimeoutError') return error;
  return new TowerError('WAIT_TIMED_OUT', `it had not ended after ${timeout} minutes, and was ended`, {
    cause: error,
    next: 'Give it more time by --timeout, or less to do.',
  });
}

/** Small in everything; `--with` changes what a program or a model needs otherwise. */
async function jobOptions(
  { images, size, steps, checkpoint, with: others = [] }: AcceptanceOptions,
  { comfyui, sdScripts }: Omit<Parts, 'options'>,
) {
  // What is simulated is proven as far as it goes; the table says of it that it is.
  const simulated = comfyui.simulated || sdScripts === undefined;
  return {
    name: 'Acceptance',
    description: '1girl, brown hair, blue eyes, fantasy armor, warrior',
    tags: '1girl, brown hair',
    count: images,
    minImages: images,
    size: { width: size, height: size },
    steps,
    checkpoint: await listedCheckpoint(comfyui, checkpoint),
    epochs: 1,
    networkDim: 4,
    networkAlpha: 2,
    ...(simulated && { allowSimulated: true, deliverSimulated: true }),
    with: ['kohya.num_repeats=1', 'kohya.lr_warmup_steps=0', 'kohya.max_data_loader_n_workers=0', ...others],
  };
}

function proofTable(proofs: readonly Proof[]): string {
  return tableText(
    ['', 'PROVEN', 'BY'],
    proofs.map(({ holds, what, by }) => [holds ? 'yes' : 'NO', what, by]),
  );
}

/** For whoever reads the table; a fault that was put right takes nothing from it. */
function faultsText(faults: CharacterReport['faults']): string {
  if (faults.length === 0) return 'Faults on the way: none on record';
  return ['Faults on the way:', ...faults.map(({ stage, code, message }) => `  ${stage}: ${code}: ${message}`)].join(
    '\n',
  );
}
