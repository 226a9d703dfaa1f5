import { serveJobs } from '../../threads/serve-jobs.js';
import { openSnapshot } from '../ledger/ledger.js';
import { writeTrainingSet, type TrainingSetTarget, type WrittenTrainingSet } from './write-training-set.js';

export interface TrainingSetJob {
  readonly ledgerPath: string;
  readonly set: TrainingSetTarget;
}

/** The program of the thread of `build-training-set.ts`. */
serveJobs<TrainingSetJob, WrittenTrainingSet>(async ({ ledgerPath, set }, { signal }) => {
  const snapshot = openSnapshot(ledgerPath);
  try {
    return await writeTrainingSet(snapshot, set, signal);
  } finally {
    snapshot.close();
  }
});
