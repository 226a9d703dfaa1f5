import { proxyActivities, workflowInfo } from '@temporalio/workflow';

import type { HostActivities, LedgerEdit, LedgerEditRecord, TowerActivities } from '../activities/interfaces.js';
import { startDeliveries } from './deliveries.js';
import { briefPolicy, hostWorkPolicy } from './policies.js';
import { requireInput } from './require-input.js';

export interface EditLedgerInput {
  /** Whose ledger. */
  readonly host: string;
  readonly edit: Exclude<LedgerEdit, { edit: 'rollback' }> | RollbackEdit;
}

export interface RollbackEdit {
  readonly edit: 'rollback';
  readonly version: string;
  readonly reason: string;
  /** Also deliver it again. */
  readonly deliver: boolean;
}

export interface EditLedgerResult extends LedgerEditRecord {
  /** Deliveries that go on by themselves, by workflow id. */
  readonly deliveries: readonly string[];
}

const tower = proxyActivities<TowerActivities>(briefPolicy);

/**
 * `editLedger`: a person's decision about a quarantined batch or the champion. The ledger has one writer, the control worker
 * of its host; so decisions go through it like everything else, and stay in the history.
 */
export async function editLedger(input?: EditLedgerInput): Promise<EditLedgerResult> {
  const { host, edit } = requireInput('editLedger', input);
  const placement = await tower.choosePlacement({ host });
  const files = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  const record = await files.editLedger(withTime(edit));
  const delivers = edit.edit === 'promote' || (edit.edit === 'rollback' && edit.deliver);
  const deliveries = delivers ? await startDeliveries(files, placement, record.supersedes) : [];
  return { ...record, deliveries };
}

/** The time in a new version's name is fixed here, once for all attempts. */
function withTime(edit: EditLedgerInput['edit']): LedgerEdit {
  if (edit.edit !== 'rollback') return edit;
  const { deliver, ...rollback } = edit;
  return deliver ? { ...rollback, deliverAs: workflowInfo().startTime.toISOString() } : rollback;
}
