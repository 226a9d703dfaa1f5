import { CancellationScope, log, patched, proxyActivities, rootCause } from '@temporalio/workflow';

import type { SyntxActivities } from '../activities/syntx/interfaces.js';
import { asCancellation } from './cancellation.js';
import { briefPolicy } from './policies.js';
import { closingPolicy } from './prompt-policies.js';

/**
 * What a run does at its end however it ends. A cancelled one tries it for some minutes and ends as cancelled all the same: its job goes
 * back with the next run then. A cancel that comes meanwhile begins those minutes. @throws what the work throws, and that cancel where
 * nothing came of the work.
 */
export async function inClosing(work: (tower: SyntxActivities) => Promise<void>): Promise<void> {
  if (CancellationScope.current().consideredCancelled) {
    await closeCancelled(work);
    return;
  }
  const tower = proxyActivities<SyntxActivities>(briefPolicy);
  // Runs that began with an older Tower heed no cancel here.
  if (!patched('closing-heeds-a-cancel')) return CancellationScope.nonCancellable(() => work(tower));
  try {
    await work(tower);
  } catch (error) {
    // Not every error that a cancel ends with says so.
    if (!CancellationScope.current().consideredCancelled) throw error;
    if (!(await closeCancelled(work))) throw asCancellation(error);
  }
}

/** @returns whether it is done. */
async function closeCancelled(work: (tower: SyntxActivities) => Promise<void>): Promise<boolean> {
  const tower = proxyActivities<SyntxActivities>(closingPolicy);
  try {
    await CancellationScope.nonCancellable(() => work(tower));
    return true;
  } catch (error) {
    log.warn('a cancelled run could not end in order', { reason: rootCause(error) ?? null });
    return false;
  }
}
