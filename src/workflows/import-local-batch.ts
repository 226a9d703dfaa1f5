import { proxyActivities, workflowInfo } from '@temporalio/workflow';

import type { HostActivities, LocalBatchRecord, LocalBatchSource, TowerActivities } from '../activities/interfaces.js';
import { briefPolicy, hostWorkPolicy } from './policies.js';
import { requireInput } from './require-input.js';

export interface ImportLocalBatchInput extends Omit<LocalBatchSource, 'at'> {
  /** Where the file lies. */
  readonly host: string;
}

const tower = proxyActivities<TowerActivities>(briefPolicy);

/** `importLocalBatch`: a file or an old tower database becomes a batch; the next cycle trains with it. */
export async function importLocalBatch(input?: ImportLocalBatchInput): Promise<LocalBatchRecord> {
  const { host, ...source } = requireInput('importLocalBatch', input);
  const placement = await tower.choosePlacement({ host });
  const files = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  return files.importLocalBatch({ ...source, at: workflowInfo().startTime.toISOString() });
}
