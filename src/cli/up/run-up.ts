import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import type { Command } from 'commander';

import { TowerError } from '../../errors.js';
import { namedGpus, presentGpus } from '../../gpu/devices.js';
import { createLog } from '../../log/create-log.js';
import type { Log } from '../../log/logger.js';
import { applySchedules } from '../../temporal/schedules/apply-schedules.js';
import { configuredSchedules } from '../../temporal/schedules/declaration.js';
import type { CommandContext, GlobalOptions } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { startServer } from './embedded-server.js';
import { livingTrainers } from '../status/living-trainers.js';
import { requireGpuLocks } from './require-gpu-locks.js';
import { lockStateDirectory } from './state-lock.js';
import { takeOverDatabase } from '../config/take-over.js';
import { withClient } from '../temporal-client.js';
import { startControlWorker, startGpuWorker, type WorkerProcess } from './tower-processes.js';

/** How often a driver that was silent at the start is asked again. */
const driverPeriodMs = 15_000;

/**
 * Runs until Ctrl-C, SIGTERM, or the death of a part. It is no supervisor: when a part dies it ends the rest in order and
 * exits with 1, and systemd starts it again; adoption makes that cheap.
 */
export async function runUp(context: CommandContext, command: Command): Promise<ExitCode> {
  const stopping = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    stopping.abort(signal);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const log = createLog({ file: context.paths.logFile, level: context.config.log.level, role: 'up' });
  const lock = await lockStateDirectory('tower-up', context);
  try {
    await requireGpuLocks(context, (await presentGpus(context.config.gpu)).indexes);
    return await serve({ context, command, log, stopping: stopping.signal });
  } catch (error) {
    if (stopping.signal.aborted) return exitCodes.ok;
    throw error;
  } finally {
    await lock.release();
    process.removeListener('SIGINT', stop).removeListener('SIGTERM', stop);
  }
}

interface UpOptions {
  readonly context: CommandContext;
  readonly command: Command;
  readonly log: Log;
  readonly stopping: AbortSignal;
}

async function serve({ context, command, log, stopping }: UpOptions): Promise<ExitCode> {
  const { output } = context;
  const server = await startServer(context, { log, signal: stopping });
  const workers: WorkerProcess[] = [];
  try {
    await applyDeclaredSchedules(context, log);
    const options = { context, globalArguments: globalArgumentsOf(command) };
    workers.push(await startControlWorker(options));
    const { indexes, silence } = await presentGpus(context.config.gpu);
    for (const index of indexes) workers.push(await startGpuWorker(index, options));
    log.info({ address: server.address, uiAddress: server.uiAddress, workers: workers.map(({ name }) => name) }, 'up');
    output.line(
      {
        address: server.address,
        uiAddress: server.uiAddress,
        home: context.home,
        workers: workers.map(({ name, pid }) => ({ name, pid })),
      },
      `Tower is up.\n  Web UI   ${server.uiAddress}\n  Temporal ${server.address}\n  State    ${context.home}\n  Workers  ${workers.map(({ name }) => name).join(', ')}`,
    );
    if (silence !== undefined) output.say(`Work on the GPU waits: ${silence.message} ${silence.next ?? ''}`);
    await takeOverDatabase(context);
    output.say('Ctrl-C ends it in order; a running training goes on.');
    if (silence !== undefined) {
      const ended = firstEnd(server.exited, workers, stopping);
      const named = await gpusOnceNamed(context.config.gpu, ended);
      for (const index of named.filter((gpu) => !indexes.includes(gpu))) {
        workers.push(await startGpuWorker(index, options));
        log.info({ worker: `gpu-${index}` }, 'the driver names a GPU that it did not at the start');
      }
    }
    const dead = await firstEnd(server.exited, workers, stopping);
    if (dead === undefined) return exitCodes.ok;
    log.error({ part: dead.name, exit: dead.exit }, 'a part of Tower ended; the rest is stopped');
    throw new TowerError('PART_ENDED', `${dead.name} ended (${dead.exit}); everything else was stopped`, {
      next: `Look at ${context.paths.logs}; under systemd Tower starts again by itself.`,
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await server.stop();
    log.info('down');
    await sayWhatGoesOn(context);
  }
}

/** An unattended machine has its schedules; a person's pause of one stays. */
async function applyDeclaredSchedules(context: CommandContext, log: Log): Promise<void> {
  const declared = await configuredSchedules(context.config);
  await withClient({ home: context.home, embeddedOnly: true }, ({ client }) =>
    applySchedules(client, declared, { stateDirectory: context.home, log }),
  );
}

/** What a driver that was silent at the start says when it answers; nothing where a part of Tower ends before that. */
async function gpusOnceNamed(
  gpu: Parameters<typeof namedGpus>[0],
  ended: Promise<unknown>,
): Promise<readonly number[]> {
  let over = false;
  const end = ended.then(() => {
    over = true;
    return [];
  });
  for (;;) {
    const look = delay(driverPeriodMs, undefined, { ref: false }).then(() => namedGpus(gpu));
    const named = await Promise.race([end, look]);
    if (over || named.length > 0) return named;
  }
}

async function firstEnd(
  serverExited: Promise<{ code: number | null; signal: string | null }>,
  workers: readonly WorkerProcess[],
  stopping: AbortSignal,
): Promise<{ name: string; exit: string } | undefined> {
  if (stopping.aborted) return undefined;
  const parts = [
    { name: 'the Temporal server', exited: serverExited },
    ...workers.map((worker) => ({ name: `the ${worker.name} worker`, exited: worker.exited })),
  ];
  return Promise.race([
    once(stopping, 'abort').then(() => undefined),
    ...parts.map(({ name, exited }) =>
      exited.then(({ code, signal }) => ({ name, exit: signal ?? `exit code ${code ?? 'unknown'}` })),
    ),
  ]);
}

async function sayWhatGoesOn(context: CommandContext): Promise<void> {
  for (const trainer of await livingTrainers(context)) {
    context.output.say(
      `The training ${trainer.run} goes on (pid ${trainer.pid}); the next \`tower up\` adopts it. To stop it now: tower trainer stop ${trainer.run}`,
    );
  }
}

/** Options of this command line that its workers need too. */
export function globalArgumentsOf(command: Command): string[] {
  const { config, set } = command.optsWithGlobals<GlobalOptions>();
  return [
    ...(config === undefined ? [] : ['--config', config]),
    ...(set ?? []).flatMap((setting) => ['--set', setting]),
  ];
}
