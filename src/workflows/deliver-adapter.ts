import {
  ApplicationFailure,
  proxyActivities,
  setCurrentDetails,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';

import type { HostActivities, MarkSummary, PackageRecord, Placement, UploadRecord } from '../activities/interfaces.js';
import { towerSearchAttributes as keys } from '../temporal/search-attributes.js';
import { deliverAdapterWorkflowId } from './names.js';
import { deliveryPolicy, hostWorkPolicy } from './policies.js';
import { requireInput } from './require-input.js';

export interface DeliverAdapterInput {
  readonly version: string;
  readonly placement: Placement;
}

export interface DeliverAdapterResult {
  readonly version: string;
  readonly package: PackageRecord;
  readonly upload: UploadRecord;
  readonly marked: MarkSummary;
}

/**
 * `deliverAdapter`: package → upload → mark the batches that are in the adapter. It outlives the cycle that started it and
 * waits for a server that is away. A newer promoted adapter cancels it.
 */
export async function deliverAdapter(input?: DeliverAdapterInput): Promise<DeliverAdapterResult> {
  const { version, placement } = requireInput('deliverAdapter', input);
  const expected = deliverAdapterWorkflowId(version);
  if (workflowInfo().workflowId !== expected) {
    throw ApplicationFailure.nonRetryable(
      `deliverAdapter of ${version} runs only under the id ${expected}`,
      'WRONG_WORKFLOW_ID',
    );
  }
  upsertSearchAttributes([
    { key: keys.loop, value: 'deliver' },
    { key: keys.version, value: version },
    { key: keys.host, value: placement.host },
    { key: keys.simulated, value: placement.simulated },
  ]);
  const files = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  const server = proxyActivities<HostActivities>(deliveryPolicy(placement));

  show(version, 'package');
  const packaged = await files.packageAdapter({ version });
  show(version, 'upload', packaged);
  const upload = await server.uploadAdapter({ version });
  show(version, 'mark', packaged);
  const marked = await server.markSettledBatches({ mustFinish: true });
  show(version, 'delivered', packaged);
  return { version, package: packaged, upload, marked };
}

function show(version: string, stage: string, packaged?: PackageRecord): void {
  upsertSearchAttributes([{ key: keys.stage, value: stage }]);
  const rows = [`| Delivery | ${version} |`, '| --- | --- |', `| Stage | ${stage} |`];
  if (packaged) rows.push(`| Package | ${packaged.file}, ${packaged.bytes} bytes |`);
  setCurrentDetails(rows.join('\n'));
}
