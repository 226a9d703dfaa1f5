import { TowerError } from '../../errors.js';
import type { BatchRecord } from '../../signz-mind/ledger/batches.js';
import type { Ledger } from '../../signz-mind/ledger/ledger.js';
import { quarantinedRows, rowVersions, storedRows, type StoredRow } from '../../signz-mind/ledger/row-history.js';
import type { CommandContext } from '../command-context.js';
import { localTime } from '../durations.js';
import { readLedger } from './read-ledger.js';
import { pairsText, tableText } from '../table.js';

const shownRows = 20;

export async function listBatches(
  context: CommandContext,
  { state, limit }: { readonly state?: string; readonly limit?: number },
): Promise<void> {
  const { all, byState } = await readLedger(context, ({ batches }) => ({
    all: batches.list(),
    byState: batches.countByState(),
  }));
  const fitting = all.filter((batch) => state === undefined || batch.state === state);
  const batches = limit === undefined ? fitting : fitting.slice(-limit);
  const totals = Object.entries(byState).map(([name, count]) => `${count} ${name}`);
  const header = ['BATCH', 'STATE', 'ROWS', 'STORED', 'SUPERSEDED', 'QUARANTINED', 'TRAINED ON', 'REASON'];
  const table = tableText(header, batches.map(batchCells));
  context.output.result({ batches, byState }, table === '' ? 'no batches' : `${table}\n${totals.join(', ')}`);
}

/** @throws TowerError `NOT_FOUND` when it is neither a batch nor the uuid of a row. */
export async function showData(context: CommandContext, name: string): Promise<void> {
  await readLedger(context, (ledger) => {
    const batch = ledger.batches.get(name);
    if (batch !== undefined) showBatch(context, ledger, batch);
    else showRow(context, ledger, name);
  });
}

/** Rows that are in use; `replaced` ones were, before a later version came. */
export function storedCount({ newRows, updatedRows, replacedRows }: BatchRecord): number {
  return newRows + updatedRows - replacedRows;
}

export function supersededCount({ staleRows, duplicateRows, replacedRows }: BatchRecord): number {
  return staleRows + duplicateRows + replacedRows;
}

export function batchReason({ reason, settledReason }: BatchRecord): string {
  return settledReason ?? reason ?? '';
}

function batchCells(batch: BatchRecord): string[] {
  const imported = batch.importedAt !== null;
  return [
    batch.name,
    batch.droppedAt === null ? batch.state : `${batch.state}, dropped`,
    ...(imported
      ? [batch.lines, storedCount(batch), supersededCount(batch), batch.quarantinedRows].map(String)
      : ['-', '-', '-', '-']),
    batch.trainingRows === null ? '-' : String(batch.trainingRows),
    batchReason(batch),
  ];
}

function showBatch({ output }: CommandContext, ledger: Ledger, batch: BatchRecord): void {
  const quarantined = quarantinedRows(ledger.reader, { batch: batch.name });
  const runs = ledger.runs.list(1000).filter(({ run }) => ledger.runs.batchNames(run).includes(batch.name));
  const versions = runs.map(({ version }) => version);
  const times = [
    ['listed', batch.listedAt],
    ['downloaded', batch.downloadedAt],
    ['imported', batch.importedAt],
    ['marked', batch.markedAt],
    ['dropped', batch.droppedAt],
  ] as const;
  const facts = pairsText([
    ['batch', batch.name],
    ['state', batch.state],
    ['reason', batchReason(batch) || '-'],
    ['origin', `${batch.origin}, source ${batch.source}`],
    ['content', batch.sha256 === null ? '-' : `${batch.bytes} bytes, sha256 ${batch.sha256}`],
    [
      'rows',
      `${batch.lines} in = ${storedCount(batch)} stored + ${supersededCount(batch)} superseded + ${batch.quarantinedRows} quarantined`,
    ],
    [
      '',
      `${batch.newRows} new, ${batch.updatedRows} updated, ${batch.staleRows} stale, ${batch.duplicateRows} duplicate, ${batch.replacedRows} replaced since`,
    ],
    ['trained on', batch.trainingRows === null ? '-' : `${batch.trainingRows} rows`],
    ['adapters', versions.join(', ') || '-'],
    ...times.flatMap(([what, time]) => (time === null ? [] : [[what, localTime(time)] as const])),
  ]);
  const rows = tableText(
    ['LINE', 'REASON'],
    quarantined.slice(0, shownRows).map(({ line, reason }) => [String(line), reason]),
  );
  const more = quarantined.length > shownRows ? `\n… \`tower data quarantine show ${batch.name}\` shows all` : '';
  output.result({ batch, versions, quarantined }, rows === '' ? facts : `${facts}\n\n${rows}${more}`);
}

function showRow({ output }: CommandContext, ledger: Ledger, uuid: string): void {
  const versions = rowVersions(ledger.reader, uuid);
  if (versions.length === 0) {
    throw new TowerError('NOT_FOUND', `the ledger knows no batch and no row ${uuid}`, {
      next: '`tower data list` names the batches; a row is named by its uuid.',
    });
  }
  const stored = storedRows(ledger.reader, uuid);
  const table = tableText(
    ['KIND', 'STATE', 'BATCH', 'LINE', 'LOST AGAINST'],
    versions.map(({ kind, state, batch, line, by }) => [
      kind,
      state,
      batch,
      String(line),
      by === null ? '' : `${by.batch} line ${by.line}`,
    ]),
  );
  output.result({ uuid, versions, stored }, [table, ...stored.map(bodyText)].join('\n\n'));
}

function bodyText(row: StoredRow): string {
  const head = `in use for ${row.source}, of ${row.modified ?? 'an unknown time'}`;
  if (row.kind === 'snippet') return `${head}, label ${row.qualityLabel}:\n${row.content}`;
  return `${head}, ${row.actionType}, ${row.feedbackType}:\n${row.context}\n--- output ---\n${row.output}`;
}
