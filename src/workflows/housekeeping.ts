import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  log,
  proxyActivities,
  rootCause,
  TimeoutFailure,
} from '@temporalio/workflow';

import type { HostActivities, TowerActivities } from '../activities/interfaces.js';
import { briefPolicy, housekeepingPolicy } from './policies.js';

/** What one look at all hosts has done. */
export interface HousekeepingResult {
  /** Training runs whose trainer was stopped because their workflow is closed or unknown. */
  readonly stopped: readonly string[];
  /** Files and folders that were kept long enough. */
  readonly removed: number;
  /** Host queues that nobody served in time. */
  readonly silentHosts: readonly string[];
}

const tower = proxyActivities<TowerActivities>(briefPolicy);

/**
 * `housekeeping`: every 10 minutes on every host; ends trainers that no workflow owns any more and removes files that were
 * kept long enough. Fails with `HOUSEKEEPING_FAILED` when a host answered with a fault, after every host had its turn.
 */
export async function housekeeping(): Promise<HousekeepingResult> {
  const stopped: string[] = [];
  const silentHosts: string[] = [];
  const faults: string[] = [];
  let removed = 0;
  for (const hostQueue of await tower.listHostQueues()) {
    const host = proxyActivities<HostActivities>(housekeepingPolicy(hostQueue));
    try {
      stopped.push(...(await host.reapTrainers()).stopped);
      removed += (await host.applyRetention()).removed;
    } catch (error) {
      if (isCancellation(error)) throw error;
      if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) {
        log.warn('a GPU host did not answer', { hostQueue, error: String(error) });
        silentHosts.push(hostQueue);
      } else {
        faults.push(`${hostQueue}: ${rootCause(error) ?? String(error)}`);
      }
    }
  }
  if (faults.length > 0) throw ApplicationFailure.nonRetryable(faults.join('; '), 'HOUSEKEEPING_FAILED');
  return { stopped, removed, silentHosts };
}
