import { TowerError } from '../../errors.js';
import type { BatchRecord } from '../../signz-mind/ledger/batches.js';
import { quarantinedRows } from '../../signz-mind/ledger/row-history.js';
import type { CommandContext } from '../command-context.js';
import { batchReason } from './data-views.js';
import { readLedger } from './read-ledger.js';
import { tableText } from '../table.js';

const listedRows = 200;

/** Set aside as a whole: no row of it was stored. It may have been marked on the server meanwhile. */
function isSetAside({ state, importedAt }: BatchRecord): boolean {
  return importedAt === null && (state === 'quarantined' || state === 'marked');
}

export async function listQuarantine(context: CommandContext): Promise<void> {
  await readLedger(context, (ledger) => {
    const batches = ledger.batches.list().filter(isSetAside);
    const rows = quarantinedRows(ledger.reader, { limit: listedRows });
    const setAside = tableText(
      ['BATCH SET ASIDE', 'CYCLES', 'STATE', 'REASON'],
      batches.map((batch) => [
        batch.name,
        String(batch.failedCycles),
        batch.droppedAt === null ? batch.state : `${batch.state}, dropped`,
        batchReason(batch),
      ]),
    );
    const refused = tableText(
      ['BATCH', 'LINE', 'REASON'],
      rows.map(({ batch, line, reason }) => [batch, String(line), reason]),
    );
    const text = [setAside, refused].filter((table) => table !== '').join('\n\n');
    context.output.result({ batches, rows }, text === '' ? 'nothing is quarantined' : text);
  });
}

/** @throws TowerError `BATCH_UNKNOWN` */
export async function showQuarantine(context: CommandContext, name: string): Promise<void> {
  await readLedger(context, (ledger) => {
    const batch = ledger.batches.get(name);
    if (batch === undefined) {
      throw new TowerError('BATCH_UNKNOWN', `the ledger knows no batch ${name}`, {
        next: '`tower data quarantine list` names what is quarantined.',
      });
    }
    const rows = quarantinedRows(ledger.reader, { batch: name, limit: 1_000_000 });
    const head = isSetAside(batch)
      ? `${name} was set aside as a whole: ${batchReason(batch)}\nraw file ${context.paths.batches}/${name}`
      : `${rows.length} of ${batch.lines} rows of ${name} were refused`;
    const lines = rows.map(({ line, reason, excerpt }) => `line ${line}: ${reason}\n    ${excerpt}`);
    context.output.result({ batch, rows }, [head, ...lines].join('\n'));
  });
}
