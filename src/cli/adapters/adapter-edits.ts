import { TowerError } from '../../errors.js';
import type { EditLedgerResult } from '../../workflows/edit-ledger.js';
import type { CommandContext } from '../command-context.js';
import { readLedger } from '../data/read-ledger.js';
import { editLedger } from '../runs/run-by-hand.js';

export async function promoteAdapter(context: CommandContext, version: string, reason: string): Promise<void> {
  report(context, await editLedger(context, { edit: 'promote', version, reason }));
}

/** @throws TowerError `NO_EARLIER_CHAMPION` when none is named and there is none */
export async function rollbackAdapter(
  context: CommandContext,
  version: string | undefined,
  { reason, deliver = false }: { readonly reason: string; readonly deliver?: boolean },
): Promise<void> {
  // Found out once, here: a repeated attempt of the work must not go back one more.
  const target = version ?? (await readLedger(context, ({ champions }) => champions.previous()));
  if (target === undefined) {
    throw new TowerError('NO_EARLIER_CHAMPION', 'there is no earlier champion to go back to', {
      next: '`tower adapters list` names the versions; name one of them.',
    });
  }
  report(context, await editLedger(context, { edit: 'rollback', version: target, reason, deliver }));
}

function report({ output }: CommandContext, result: EditLedgerResult): void {
  const { done, deliveries, supersedes } = result;
  const lines = [
    `${done}.`,
    ...supersedes.map((version) => `${version} is not delivered any more.`),
    ...deliveries.map((workflowId) => `Delivery: \`tower watch ${workflowId}\` shows it.`),
  ];
  output.result(result, lines.join('\n'));
}
