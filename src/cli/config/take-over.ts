import { existsSync } from 'node:fs';

import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/common';

import { hostNameOf } from '../../config/host-name.js';
import { towerQueue } from '../../temporal/task-queues.js';
import type { importLocalBatch } from '../../workflows/import-local-batch.js';
import type { CommandContext } from '../command-context.js';
import { withClient } from '../temporal-client.js';

/**
 * Starts taking over the database of an old tower, if the configuration names one. Each `tower up` does so: what is known
 * already is not imported again.
 */
export async function takeOverDatabase({ config, home, output }: CommandContext): Promise<void> {
  const path = config.data.legacyDatabase;
  if (path === undefined) return;
  if (!existsSync(path)) {
    output.say(`data.legacyDatabase is not there, nothing is taken over from it: ${path}`);
    return;
  }
  const workflowId = `import-local-batch/${path}`;
  await withClient({ home, embeddedOnly: true }, ({ client }) =>
    client.workflow.start<typeof importLocalBatch>('importLocalBatch', {
      taskQueue: towerQueue,
      workflowId,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
      workflowExecutionTimeout: '1 day',
      staticSummary: `Take over ${path}`,
      args: [{ host: hostNameOf(config), kind: 'database', path }],
    }),
  );
  output.say(`Rows of ${path} are taken over; it is only read. \`tower watch ${workflowId}\` shows it.`);
}
