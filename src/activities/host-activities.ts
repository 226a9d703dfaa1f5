import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { applyCharacterRetention } from '../character/retention.js';
import { TowerError } from '../errors.js';
import { ingestBatches, type IngestProgress } from '../signz-mind/ingest/ingest-batches.js';
import { markSettledBatches, type MarkProgress, type MarkResult } from '../signz-mind/delivery/mark-batches.js';
import { Ledger } from '../signz-mind/ledger/ledger.js';
import { planTraining } from '../signz-mind/plan-training.js';
import { applyRetention } from '../signz-mind/retention.js';
import { pauseRun, pauseUnstarted } from '../training/pause-run.js';
import { runDirectory } from '../training/run-directory.js';
import { nextGeneration } from '../training/stop-intent.js';
import { stopRun } from '../training/stop-run.js';
import { changeLedger } from './change-ledger.js';
import { deliverable, deliverPackage } from './deliver-package.js';
import { evaluateCandidate } from './evaluate-candidate.js';
import { kohyaDriver } from './character/kohya-driver.js';
import { withHeartbeat } from './heartbeat.js';
import * as inputs from './inputs.js';
import type { HostActivities } from './interfaces.js';
import { isWorkflowOpen, reapOrphans } from './reap-orphans.js';
import { createServerClient } from './server-client.js';
import { trainerDriver } from './training-request.js';
import { trainingSetOptions } from './training-set-options.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** Activities of the `gpu-<host>` queue. They own the ledger: one control worker per state directory runs them. */
export function createHostActivities(environment: WorkerEnvironment): HostActivities {
  const { config, paths, log } = environment;
  const periodMs = config.worker.heartbeatSeconds * 1000;
  const ledger = Ledger.open(paths.ledger);
  const graceMs = config.gpu.stopGraceSeconds * 1000;
  const python = config.gpu.python;

  return {
    async ingestBatches(input) {
      const { logicalTime } = inputs.checked(inputs.cycleReferenceSchema, input);
      const context = Context.current();
      const client = await createServerClient(environment);
      await ledger.cycles.start(logicalTime);
      return withHeartbeat<IngestProgress, Awaited<ReturnType<typeof ingestBatches>>>(context, periodMs, (onProgress) =>
        ingestBatches(
          { client, ledger, batchDirectory: paths.batches, cycle: logicalTime },
          { signal: context.cancellationSignal, onProgress, log },
        ),
      );
    },

    async planTraining(input) {
      const { logicalTime, force } = inputs.checked(inputs.planTrainingSchema, input);
      const context = Context.current();
      const planned = await withHeartbeat(context, periodMs, () =>
        planTraining(
          {
            ledger,
            runsDirectory: paths.runs,
            cycle: logicalTime,
            trainingSet: trainingSetOptions(config),
            hyperparameters: config.train.hyperparameters,
            simulated: config.train.trainer === 'simulated',
            when: config.train.when,
            force,
          },
          { signal: context.cancellationSignal, log },
        ),
      );
      if (planned.decision === 'skip') return planned;
      const { run, reason, batches } = planned;
      const directory = runDirectory(join(paths.runs, run.run));
      return {
        decision: 'train',
        reason,
        run: run.run,
        version: run.version,
        samples: run.trainSamples,
        heldOutSamples: run.heldOutSamples,
        batches,
        generation: await nextGeneration(directory),
      };
    },

    async recordTraining(input) {
      const { run, outcome } = inputs.checked(inputs.recordTrainingSchema, input);
      await ledger.runs.recordTrained(run, outcome);
    },

    ...evaluateCandidate(environment, ledger),

    listUndelivered: () => Promise.resolve(deliverable(environment, ledger)),

    async markSettledBatches(input) {
      const { mustFinish } = inputs.checked(inputs.markSettledSchema, input);
      const context = Context.current();
      const client = await createServerClient(environment);
      const { markAfter } = config.server;
      const before = ledger.batches.settleable(markAfter).length;
      try {
        const { marked } = await withHeartbeat<MarkProgress, MarkResult>(context, periodMs, (onProgress) =>
          markSettledBatches({ client, ledger, markAfter }, { signal: context.cancellationSignal, onProgress, log }),
        );
        return { marked, postponed: 0 };
      } catch (error) {
        // Marking never holds up a cycle: what is settled stays so in the ledger, and the next cycle marks it.
        if (mustFinish || !(error instanceof TowerError) || error.code === 'SERVER_KEY_REJECTED') throw error;
        log.warn({ code: error.code }, `marking is left for the next cycle: ${error.message}`);
        const postponed = ledger.batches.settleable(markAfter).length;
        return { marked: before - postponed, postponed };
      }
    },

    ...deliverPackage(environment, ledger),
    ...changeLedger(environment, ledger),

    async recordCycle(input) {
      const { logicalTime, outcome, reason } = inputs.checked(inputs.recordCycleSchema, input);
      await ledger.cycles.finish(logicalTime, { outcome, reason });
    },

    async pauseTrainer(input) {
      const { run, generation } = inputs.checked(inputs.runReferenceSchema, input);
      const context = Context.current();
      const directory = join(paths.runs, run);
      const result = await withHeartbeat(context, periodMs, async () => {
        const unstarted = await pauseUnstarted(directory, { generation });
        if (unstarted !== undefined) return unstarted;
        const driver = await (isCharacterRun(run) ? kohyaDriver : trainerDriver)(environment, run);
        const request = { driver, run: { id: run, directory }, generation, graceMs };
        return pauseRun(request, { signal: context.cancellationSignal, log });
      });
      if (result.outcome === 'finished') return { state: 'finished', step: 0 };
      return { state: result.checkpoint === null ? 'idle' : 'saved', step: result.step };
    },

    async stopTrainer(input) {
      const { run, generation } = inputs.checked(inputs.runReferenceSchema, input);
      const directory = join(paths.runs, run);
      const result = await withHeartbeat(Context.current(), periodMs, () =>
        stopRun({ directory, generation, reason: 'cancel', graceMs, python }, { log }),
      );
      return { stopped: result.outcome === 'stopped' };
    },

    reapTrainers: async () => ({ stopped: await reapOrphans(environment) }),

    async applyRetention() {
      const removed = await withHeartbeat(Context.current(), periodMs, () =>
        applyRetention(
          {
            ledger,
            batchDirectory: paths.batches,
            runsDirectory: paths.runs,
            packagesDirectory: paths.packages,
            limits: config.retention,
            now: new Date(),
          },
          { log },
        ),
      );
      const ofCharacters = await applyCharacterRetention(
        {
          ...{ runsDirectory: paths.runs, limits: config.retention, now: new Date() },
          isOpen: ({ workflowId }) => isWorkflowOpen(environment.client, workflowId),
        },
        { log },
      );
      return { removed: removed.length + ofCharacters };
    },
  };
}

/** Ids of character runs begin so; those of the daily cycle are versions of adapters. */
function isCharacterRun(run: string): boolean {
  return run.startsWith('character_');
}
