import { NativeConnection, Runtime, makeTelemetryFilterString } from '@temporalio/worker';

import type { WorkerEnvironment } from '../../activities/worker-environment.js';
import { hostNameOf } from '../../config/host-name.js';
import { readOpenAiKey, readServerApiKey } from '../../config/secrets.js';
import { describeError, TowerError } from '../../errors.js';
import { presentGpus, type PresentGpus } from '../../gpu/devices.js';
import { createLog } from '../../log/create-log.js';
import type { Log } from '../../log/logger.js';
import { sdkLogger } from '../../log/sdk-logger.js';
import { reapOrphans } from '../../activities/reap-orphans.js';
import { createWorkers, type WorkerRole } from '../../worker.js';
import type { CommandContext } from '../command-context.js';
import { requireGpuLocks } from './require-gpu-locks.js';
import { lockStateDirectory } from './state-lock.js';
import { withClient } from '../temporal-client.js';
import type { WorkerOptions } from './worker-options.js';

/**
 * Runs the workers of this process until SIGTERM or SIGINT. A training goes on without its worker; the next one adopts it.
 *
 * @throws TowerError `STATE_DIRECTORY_LOCKED` when another control worker serves this state directory, `GPU_LOCK_MOVED`.
 */
export async function runWorkerProcess(context: CommandContext, options: WorkerOptions): Promise<void> {
  const gpus = options.role === 'control' ? noGpus : await presentGpus(context.config.gpu);
  const roles = rolesOf(gpus, options);
  const name = roles.map((role) => (role.kind === 'gpu' ? `gpu-${role.index}` : role.kind)).join('+');
  const secrets = await secretsOf(context);
  const { config, paths } = context;
  const { level } = config.log;
  const log = createLog({ file: paths.logFile, level, role: name, secrets, alsoStderr: true });
  if (gpus.silence !== undefined) {
    const others =
      options.role === 'all' ? ' Of several GPUs only the first is served until this worker is restarted.' : '';
    const next = `${gpus.silence.next ?? ''}${others}`;
    log.warn({ error: describeError(gpus.silence), next }, 'work on the GPU waits for its driver');
  }
  await requireGpuLocks(
    context,
    roles.flatMap((role) => (role.kind === 'gpu' ? [role.index] : [])),
  );
  const isControl = roles.some((role) => role.kind === 'control');
  const lock = isControl ? await lockStateDirectory('control-worker', context) : undefined;
  try {
    await runWorkers(context, { roles, name, log, secrets, embeddedOnly: options.embedded ?? false });
  } finally {
    await lock?.release();
  }
}

const noGpus: PresentGpus = { indexes: [], silence: undefined };

interface WorkersOptions {
  readonly roles: readonly WorkerRole[];
  readonly name: string;
  readonly log: Log;
  readonly secrets: readonly string[];
  readonly embeddedOnly: boolean;
}

async function runWorkers(context: CommandContext, options: WorkersOptions): Promise<void> {
  const { roles, name, log, secrets, embeddedOnly } = options;
  await withClient({ home: context.home, embeddedOnly }, async ({ client, server: { address, namespace, native } }) => {
    // Only now: once it is installed, the SDK's runtime keeps the process alive and takes its signals.
    installRuntime(
      log,
      roles.some(({ kind }) => kind === 'control') ? context.config.worker.metricsAddress : undefined,
    );
    const connection = await NativeConnection.connect(native);
    try {
      const environment: WorkerEnvironment = {
        config: context.config,
        paths: context.paths,
        host: hostNameOf(context.config),
        log,
        readApiKey: () => readServerApiKey(context.config, process.env),
        client,
      };
      const redact = (text: string) => secrets.reduce((clean, secret) => clean.replaceAll(secret, '[secret]'), text);
      const workers = await createWorkers({ roles, connection, namespace, environment, redact });
      log.info({ roles: name, address, namespace }, 'worker started');
      if (roles.some((role) => role.kind === 'control')) void reapAtStart(environment);
      await Promise.all(workers.map((worker) => worker.run()));
      log.info('worker stopped');
    } finally {
      await connection.close();
    }
  });
}

/** @throws TowerError `METRICS_FAILED` when another program has the address. */
function installRuntime(log: Log, metricsAddress: string | undefined): void {
  try {
    Runtime.install({
      logger: sdkLogger(log),
      // What `tower status` tells living workers by; the default of a minute would leave it blind for that long.
      workerHeartbeatInterval: '5s',
      telemetryOptions: {
        logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'INFO' }) },
        ...(metricsAddress !== undefined && { metrics: { prometheus: { bindAddress: metricsAddress } } }),
      },
    });
  } catch (error) {
    if (metricsAddress === undefined) throw error;
    throw new TowerError('METRICS_FAILED', `metrics cannot be served at ${metricsAddress}`, {
      cause: error,
      next: 'Set `worker.metricsAddress` to an address of this machine with a free port, or leave it out.',
    });
  }
}

/** The look is made beside the work: a server that does not answer now is asked again by the housekeeping schedule. */
async function reapAtStart(environment: WorkerEnvironment): Promise<void> {
  try {
    await reapOrphans(environment);
  } catch (error) {
    environment.log.error({ error: describeError(error) }, 'looking for trainers without a workflow failed');
  }
}

/** What must never be written: the server's key as it is now, wherever it comes from, and Temporal's. */
async function secretsOf({ config }: CommandContext): Promise<string[]> {
  const keys = [process.env['TEMPORAL_API_KEY']];
  for (const read of [readServerApiKey, readOpenAiKey]) {
    try {
      keys.push(await read(config, process.env));
    } catch (error) {
      // Without a key there is nothing to hide; whoever needs it says that it is missing.
      if (!(error instanceof TowerError)) throw error;
    }
  }
  return keys.filter((key): key is string => key !== undefined && key !== '');
}

function rolesOf({ indexes: known, silence }: PresentGpus, options: WorkerOptions): WorkerRole[] {
  if (options.role === 'control') return [{ kind: 'control' }];
  if (options.gpu !== undefined && silence === undefined && !known.includes(options.gpu)) {
    throw new TowerError('USAGE', `--gpu ${options.gpu}: this host has the GPU indexes ${known.join(', ')}`, {
      next: 'Take one of them, or change gpu.devices.',
    });
  }
  if (options.role === 'gpu') return [{ kind: 'gpu', index: options.gpu ?? known[0] ?? 0 }];
  return [{ kind: 'control' }, ...known.map((index) => ({ kind: 'gpu' as const, index }))];
}
