import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

import { historiesDirectory } from './histories.js';

/** What only tells where a history was recorded. */
const local = new Set([
  'identity',
  'binaryChecksum',
  'buildId',
  'workerInstanceKey',
  'processKey',
  'hostName',
  'stackTrace',
]);

/** Writes the history of a workflow as `histories/<name>.json`, without what only tells where it was recorded. */
export async function writeHistory(client: Client, name: string, workflowId: string): Promise<void> {
  const history = await client.workflow.getHandle(workflowId).fetchHistory();
  const text = historyToJSON(history).replaceAll(/control@[^"]+/g, 'recorded');
  const neutral: unknown = JSON.parse(text, (key, value: unknown) => (local.has(key) ? 'recorded' : value));
  await writeFile(join(historiesDirectory, `${name}.json`), `${JSON.stringify(neutral)}\n`);
}
