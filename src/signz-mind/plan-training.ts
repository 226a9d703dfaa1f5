import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { ServiceOptions } from '../service-options.js';
import type { Ledger } from './ledger/ledger.js';
import type { RunRecord } from './ledger/runs.js';
import { buildTrainingSet, NoTrainingDataError, type TrainingSet } from './training-set/build-training-set.js';
import type { TrainingSetOptions } from './training-set/options.js';
import { trainingFingerprint } from './training-set/fingerprint.js';

export interface PlanTrainingInput {
  readonly ledger: Ledger;
  /** Folder of all training runs; a planned run gets `<runs>/<version>/dataset/`. */
  readonly runsDirectory: string;
  /** Logical time of the cycle, ISO 8601 UTC. */
  readonly cycle: string;
  readonly trainingSet: TrainingSetOptions;
  /** Everything that decides the outcome beside the data; part of the fingerprint. */
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  readonly simulated: boolean;
  /** `changed`: only when the fingerprint is new. */
  readonly when: 'changed' | 'always';
  readonly force: boolean;
}

export type PlannedTraining =
  | { readonly decision: 'skip'; readonly reason: string }
  | { readonly decision: 'train'; readonly reason: string; readonly run: RunRecord; readonly batches: number };

/**
 * Decides what a cycle trains. Repeatable: a cycle that has planned a run gets the same one again, and an unfinished run
 * with the same fingerprint is continued under its own version instead of being started anew. A version is trained once.
 */
export async function planTraining(
  input: PlanTrainingInput,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<PlannedTraining> {
  const { ledger, cycle } = input;
  const version = versionOf(cycle);
  const planned = ledger.runs.byVersion(version);
  if (planned && isUnfinished(planned)) {
    // The reason that it was planned for: an attempt that was killed must not change what the cycle says.
    return training(ledger, planned, reasonOf(input, ledger.runs.byFingerprint(planned.fingerprint, planned.id)));
  }
  if (planned) {
    // Its folder and its package are evidence; a second adapter of the same name would replace them.
    return { decision: 'skip', reason: `${version} is there already: a new one needs another scheduledTime` };
  }

  const draft = join(input.runsDirectory, `.${version}.draft`);
  await rm(draft, { recursive: true, force: true });
  try {
    const target = { ledger, directory: join(draft, 'dataset'), ...input.trainingSet };
    const set = await buildTrainingSet(target, { signal });
    const fingerprint = trainingFingerprint({
      trainingSetSha256: set.sha256,
      hyperparameters: { ...input.hyperparameters, simulated: input.simulated },
    });
    const earlier = withFiles(ledger.runs.byFingerprint(fingerprint), input.runsDirectory);
    if (earlier && isUnfinished(earlier)) {
      await ledger.runs.linkBatches(earlier.run, set.batches);
      return training(ledger, earlier, `goes on with ${earlier.version}, which did not finish`);
    }
    if (earlier && !input.force && input.when === 'changed') {
      await ledger.runs.linkBatches(earlier.run, set.batches);
      return {
        decision: 'skip',
        reason: `unchanged since ${earlier.version}: same samples, hyperparameters and base model`,
      };
    }
    await rm(join(input.runsDirectory, version), { recursive: true, force: true });
    await rename(draft, join(input.runsDirectory, version));
    const run = await ledger.runs.plan(newRun(input, { version, fingerprint, set }), set.batches);
    return training(ledger, run, reasonOf(input, earlier));
  } catch (error) {
    if (!(error instanceof NoTrainingDataError)) throw error;
    log.info({ cycle }, error.message);
    return { decision: 'skip', reason: error.message };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** `adapter_ft_<UTC YYYYMMDD_HHMMSS>` (contract signz-mind 1.4), of the cycle's logical time. */
export function versionOf(cycle: string): string {
  const [date = '', time = ''] = new Date(cycle).toISOString().split('T');
  return `adapter_ft_${date.replaceAll('-', '')}_${time.slice(0, 8).replaceAll(':', '')}`;
}

function isUnfinished({ state }: RunRecord): boolean {
  return state === 'planned' || state === 'training' || state === 'trained' || state === 'failed';
}

/** An unfinished run whose files retention has removed cannot be continued: it is as if it never was. */
function withFiles(run: RunRecord | undefined, runsDirectory: string): RunRecord | undefined {
  if (run === undefined || !isUnfinished(run)) return run;
  return existsSync(join(runsDirectory, run.run, 'dataset')) ? run : undefined;
}

function training(ledger: Ledger, run: RunRecord, reason: string): PlannedTraining {
  return { decision: 'train', reason, run, batches: ledger.runs.batchNames(run.run).length };
}

function newRun(
  { cycle, simulated }: PlanTrainingInput,
  { version, fingerprint, set }: { version: string; fingerprint: string; set: TrainingSet },
): Parameters<Ledger['runs']['plan']>[0] {
  return {
    run: version,
    version,
    cycle,
    fingerprint,
    trainingSetSha256: set.sha256,
    trainSamples: set.trainSamples,
    heldOutSamples: set.heldOutSamples,
    simulated,
  };
}

function reasonOf({ force }: PlanTrainingInput, earlier: RunRecord | undefined): string {
  if (!earlier) return 'samples, hyperparameters or base model are new';
  return force ? 'forced' : 'train.when is always';
}
