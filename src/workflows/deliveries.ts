import {
  ApplicationFailure,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';

import type { HostActivities, Placement } from '../activities/interfaces.js';
import { deliverAdapter } from './deliver-adapter.js';
import { deliverAdapterWorkflowId } from './names.js';

/**
 * Starts a delivery for every promoted version that is not delivered: the new one, and any whose delivery was lost with a
 * deleted Temporal database. Deliveries outlive the workflow that starts them. A replaced version's delivery is cancelled
 * first.
 */
export async function startDeliveries(
  host: HostActivities,
  placement: Placement,
  superseded: readonly string[],
): Promise<string[]> {
  for (const version of superseded) await cancelDelivery(version);
  const versions = await host.listUndelivered();
  for (const version of versions) {
    try {
      await startChild(deliverAdapter, {
        workflowId: deliverAdapterWorkflowId(version),
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `Deliver ${version}`,
        args: [{ version, placement }],
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
  return versions.map(deliverAdapterWorkflowId);
}

async function cancelDelivery(version: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(deliverAdapterWorkflowId(version)).cancel();
  } catch (error) {
    // It may have ended, or its history may be gone: then there is nothing to cancel.
    if (
      !(error instanceof ApplicationFailure) &&
      !(error instanceof Error && error.name === 'ExternalWorkflowExecutionError')
    )
      throw error;
  }
}
