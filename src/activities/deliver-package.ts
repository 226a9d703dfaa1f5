import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { TowerError } from '../errors.js';
import { packageAdapter } from '../signz-mind/delivery/package-adapter.js';
import { uploadPackage } from '../signz-mind/delivery/upload-package.js';
import type { Ledger } from '../signz-mind/ledger/ledger.js';
import type { RunRecord } from '../signz-mind/ledger/runs.js';
import type { UploadProgress } from '../signz-mind/server/upload-model.js';
import { withHeartbeat } from './heartbeat.js';
import { checked, versionSchema } from './inputs.js';
import type { HostActivities } from './interfaces.js';
import { createServerClient } from './server-client.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** Promoted versions that may be delivered: simulated ones only where the configuration says so. */
export function deliverable({ config }: WorkerEnvironment, ledger: Ledger): string[] {
  return ledger.deliveries
    .undelivered()
    .filter((version) => config.server.deliverSimulated || !ledger.runs.byVersion(version)?.simulated);
}

/** `packageAdapter` and `uploadAdapter`: both look first, so that a repeat does nothing twice. */
export function deliverPackage(
  environment: WorkerEnvironment,
  ledger: Ledger,
): Pick<HostActivities, 'packageAdapter' | 'uploadAdapter'> {
  const { config, paths, log } = environment;
  const periodMs = config.worker.heartbeatSeconds * 1000;
  const fileOf = (version: string) => join(paths.packages, `${version}.zip`);

  return {
    async packageAdapter(input) {
      const run = runOf(ledger, checked(versionSchema, input).version);
      const context = Context.current();
      const file = fileOf(run.version);
      const packaged = await withHeartbeat(context, periodMs, () =>
        packageAdapter(
          {
            adapterDirectory: join(paths.runs, run.run, 'output', 'adapter'),
            manifest: manifestOf(environment, ledger, run),
            targetPath: file,
          },
          { signal: context.cancellationSignal, log },
        ),
      );
      await ledger.deliveries.recordPackage(run.version, packaged);
      return { file, sha256: packaged.sha256, bytes: packaged.bytes };
    },

    async uploadAdapter(input) {
      const run = runOf(ledger, checked(versionSchema, input).version);
      const { version } = run;
      const file = fileOf(version);
      const context = Context.current();
      const client = await createServerClient(environment);
      const trainingDate = run.cycle.slice(0, 10);
      const result = await withHeartbeat<UploadProgress, Awaited<ReturnType<typeof uploadPackage>>>(
        context,
        periodMs,
        (onProgress) =>
          uploadPackage(
            { client, ledger, version, file, trainingDate },
            { signal: context.cancellationSignal, onProgress, log },
          ),
      );
      return { version, bytes: result.bytes, sent: result.sent };
    },
  };
}

function runOf(ledger: Ledger, version: string): RunRecord {
  const run = ledger.runs.byVersion(version);
  if (run !== undefined) return run;
  throw new TowerError('UNKNOWN_VERSION', `the ledger knows no adapter ${version}`, {
    next: 'The ledger of another state directory may have it.',
  });
}

/** What the package says of itself in `tower.json`. No time of packaging: the same adapter gives the same bytes. */
function manifestOf({ config }: WorkerEnvironment, ledger: Ledger, run: RunRecord): Record<string, unknown> {
  return {
    version: run.version,
    cycle: run.cycle,
    simulated: run.simulated,
    fingerprint: run.fingerprint,
    trainingSetSha256: run.trainingSetSha256,
    trainSamples: run.trainSamples,
    heldOutSamples: run.heldOutSamples,
    batches: ledger.runs.batchNames(run.run),
    hyperparameters: config.train.hyperparameters,
    metrics: run.metrics,
  };
}
