import { CancellationScope, log, proxyActivities, rootCause } from '@temporalio/workflow';

import type { SyntxActivities } from '../activities/syntx/interfaces.js';
import { briefPolicy } from './policies.js';
import { closingPolicy } from './prompt-policies.js';

/**
 * What a run does at its end however it ends. A cancelled one tries it for some minutes and ends as cancelled all the same: its job goes
 * back with the next run then.
 */
export async function inClosing(work: (tower: SyntxActivities) => Promise<void>): Promise<void> {
  const isCancelled = CancellationScope.current().consideredCancelled;
  const tower = proxyActivities<SyntxActivities>(isCancelled ? closingPolicy : briefPolicy);
  try {
    await CancellationScope.nonCancellable(() => work(tower));
  } catch (error) {
    if (!isCancelled) throw error;
    log.warn('a cancelled run could not end in order', { reason: rootCause(error) ?? null });
  }
}
