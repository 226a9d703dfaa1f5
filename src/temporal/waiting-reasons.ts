import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import { z } from 'zod';

import type { TowerError } from '../errors.js';

/** What somebody waits for: a Tower error's code, message and next step. */
const waitsForSchema = z.object({ code: z.string(), message: z.string(), next: z.string().nullable() });
export type WaitsFor = z.output<typeof waitsForSchema>;

/** What somebody waits for who would end with this error if time were over. */
export function waitsForOf({ code, message, next }: TowerError): WaitsFor {
  return { code, message, next: next ?? null };
}

/** Heartbeats of activities that wait inside of an attempt. */
const heartbeatSchema = z.looseObject({ waitsFor: waitsForSchema });

/** Why one pending activity of a workflow does not come to its end. */
export interface WaitingReason extends WaitsFor {
  readonly activity: string;
  /** `false`: it is at work, and this is what its last attempt ended with. */
  readonly waits: boolean;
}

/** `PendingActivityState` of the server's API: scheduled, also between two attempts. */
const scheduled = 1;

/**
 * What the pending activities of a workflow wait for, as their heartbeats and last failures say; those of which neither says
 * anything are left out. One call, which needs no worker.
 *
 * @throws the SDK's errors, `WorkflowNotFoundError` among them.
 */
export async function waitingReasons(client: Client, workflowId: string, runId?: string): Promise<WaitingReason[]> {
  const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
  const reasons = (raw.pendingActivities ?? []).map(async ({ activityType, state, heartbeatDetails, lastFailure }) => {
    const activity = activityType?.name ?? 'unknown';
    const isScheduled = Number(state) === scheduled;
    const converter = client.options.loadedDataConverter;
    const [details] = isScheduled ? [] : await decodeArrayFromPayloads(converter, heartbeatDetails?.payloads);
    const told = heartbeatSchema.safeParse(details).data?.waitsFor;
    if (told !== undefined) return [{ activity, ...told, waits: true }];
    const failed = reasonOf(await decodeOptionalFailureToOptionalError(converter, lastFailure));
    return failed === undefined ? [] : [{ activity, ...failed, waits: isScheduled }];
  });
  return (await Promise.all(reasons)).flat();
}

const detailsSchema = z.tuple([z.looseObject({ next: z.string().nullable() })]).rest(z.unknown());

/** What the activity interceptor has made of a Tower error; a lost worker is nothing that is waited for. */
function reasonOf(failure: Error | undefined): WaitsFor | undefined {
  if (!(failure instanceof ApplicationFailure)) return undefined;
  const next = detailsSchema.safeParse(failure.details).data?.[0].next ?? null;
  const message = next === null ? failure.message : failure.message.replace(` Next: ${next}`, '');
  return { code: failure.type ?? 'UNEXPECTED', message, next };
}
