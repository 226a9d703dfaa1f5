import { WorkflowFailedError } from '@temporalio/client';
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/common';

import { hostNameOf } from '../../config/host-name.js';
import { TowerError } from '../../errors.js';
import { towerQueue } from '../../temporal/task-queues.js';
import type { EditLedgerInput, EditLedgerResult } from '../../workflows/edit-ledger.js';
import type { ImportLocalBatchInput } from '../../workflows/import-local-batch.js';
import type { LocalBatchRecord } from '../../activities/interfaces.js';
import type { CommandContext } from '../command-context.js';
import { interruptible } from '../interruption.js';
import { withClient } from '../temporal-client.js';
import { failureOf } from './workflow-failure.js';

/** After this long without an answer, a person is told what may be wrong. */
const patienceMs = 5_000;
/** Such work takes seconds; a day is for a control worker that is off. */
const executionTimeout = '1 day';

/** Has a control worker change the ledger, and waits for it. */
export async function editLedger(context: CommandContext, edit: EditLedgerInput['edit']): Promise<EditLedgerResult> {
  const target = 'batch' in edit ? edit.batch : edit.version;
  return runToEnd<EditLedgerInput, EditLedgerResult>(context, {
    type: 'editLedger',
    workflowId: `edit-ledger/${edit.edit}/${target}`,
    summary: `${edit.edit} ${target}: ${edit.reason}`,
    input: { host: hostNameOf(context.config), edit },
  });
}

/** Has a control worker import a file of this host, and waits for it. */
export async function importLocalBatch(
  context: CommandContext,
  source: Omit<ImportLocalBatchInput, 'host'>,
): Promise<LocalBatchRecord> {
  return runToEnd<ImportLocalBatchInput, LocalBatchRecord>(context, {
    type: 'importLocalBatch',
    workflowId: `import-local-batch/${source.path}`,
    summary: `Import ${source.path}`,
    input: { host: hostNameOf(context.config), ...source },
  });
}

interface ByHand<Input> {
  readonly type: string;
  /** Names the work: a second command for the same joins the first. */
  readonly workflowId: string;
  readonly summary: string;
  readonly input: Input;
}

async function runToEnd<Input, Result>(context: CommandContext, work: ByHand<Input>): Promise<Result> {
  return withClient(context, async ({ client }) => {
    const handle = await client.workflow.start<(input: Input) => Promise<Result>>(work.type, {
      taskQueue: towerQueue,
      workflowId: work.workflowId,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
      workflowExecutionTimeout: executionTimeout,
      staticSummary: work.summary,
      args: [work.input],
    });
    const hint = setTimeout(() => {
      context.output.say('no answer yet; `tower status` tells whether a control worker runs');
    }, patienceMs);
    try {
      return await interruptible((signal) => Promise.race([handle.result(), stopped(signal, work.workflowId)]));
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      const { code, message, next } = failureOf(error.cause);
      throw new TowerError(code, message, { cause: error, ...(next !== null && { next }) });
    } finally {
      clearTimeout(hint);
    }
  });
}

function stopped(signal: AbortSignal, workflowId: string): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      const next = `\`tower watch ${workflowId}\` shows it; \`tower cancel ${workflowId}\` ends it.`;
      reject(new TowerError('CANCELLED', 'stopped waiting; the work goes on', { next }));
    });
  });
}
