import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import { now, type BatchRecord } from '../ledger/batches.js';
import type { SqliteDatabase } from '../ledger/database.js';
import { RowWriter, type RowCounts } from '../ledger/import-rows.js';
import { parseRow } from './batch-rows.js';
import { LineSplitter, type FileLine } from '../../files/split-lines.js';

export interface ImportProgress {
  readonly readBytes: number;
  readonly totalBytes: number;
}

/** A downloaded batch, where its raw file lies, and the logical time of the cycle that imports it. */
export interface BatchToImport extends Pick<BatchRecord, 'id' | 'name' | 'source' | 'bytes' | 'sha256'> {
  readonly path: string;
  readonly cycle: string;
}

/** The whole file is unusable, not just some of its rows. Counts against the batch. */
class BatchFileFaultError extends TowerError {
  constructor(name: string, reason: string) {
    super('BATCH_FILE_FAULT', `${name}: ${reason}`, { next: 'Look at the raw file, and at the client that sent it.' });
  }
}

/** No source file comes near this; JSON.parse of a longer line would hold up heartbeats. */
const maxLineBytes = 8 * 1024 * 1024;
const excerptBytes = 240;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Reads one raw batch file into the ledger, inside a transaction of the caller: with constant memory, bad rows quarantined
 * with line number and reason. What it throws must roll the transaction back.
 *
 * @returns the counts, or `undefined` when the batch was imported before.
 * @throws BatchFileFaultError, TowerError `BATCH_FILE_CHANGED`
 */
export async function loadBatch(
  database: SqliteDatabase,
  batch: BatchToImport,
  { signal, onProgress }: Pick<ServiceOptions<ImportProgress>, 'signal' | 'onProgress'>,
): Promise<RowCounts | undefined> {
  const current = database.get<{ state: string }>('SELECT state FROM batches WHERE id = ?', batch.id);
  if (current?.state !== 'downloaded') return undefined;

  const rows = new RowWriter(database, batch);
  const splitter = new LineSplitter(maxLineBytes);
  const hash = createHash('sha256');
  const tally = { lines: 0, recognised: 0 };
  let readBytes = 0;
  const chunks = createReadStream(batch.path, { highWaterMark: 512 * 1024, signal });
  for await (const chunk of chunks as AsyncIterable<Buffer>) {
    hash.update(chunk);
    for (const line of splitter.push(chunk)) importLine(rows, line, tally);
    readBytes += chunk.length;
    onProgress?.({ readBytes, totalBytes: batch.bytes ?? readBytes });
  }
  for (const line of splitter.end()) importLine(rows, line, tally);

  if (hash.digest('hex') !== batch.sha256) throw changed(batch.name);
  if (tally.recognised === 0) throw new BatchFileFaultError(batch.name, wholeFileReason(readBytes, tally.lines));
  const { counts } = rows;
  database.run(
    `UPDATE batches SET state = 'imported', lines = ?, new_rows = ?, updated_rows = ?, stale_rows = ?,
     duplicate_rows = ?, quarantined_rows = ?, reason = NULL, imported_at = ?,
     imported_cycle = ? WHERE id = ?`,
    ...[tally.lines, counts.new, counts.updated, counts.stale, counts.duplicate, counts.quarantined],
    ...[now(), batch.cycle, batch.id],
  );
  return counts;
}

function importLine(rows: RowWriter, line: FileLine, tally: { lines: number; recognised: number }): void {
  const bytes = line.number === 1 ? withoutByteOrderMark(line.bytes) : line.bytes;
  if (bytes === undefined) {
    tally.lines += 1;
    rows.quarantine(line.number, `the line has ${line.length} bytes, the limit is ${maxLineBytes}`, '');
    return;
  }
  if (!isUtf8(bytes)) {
    tally.lines += 1;
    rows.quarantine(line.number, 'not UTF-8', excerptOf(bytes));
    return;
  }
  const text = bytes.toString('utf8').trim();
  if (text === '') return;
  tally.lines += 1;
  const parsed = parseRow(text);
  if (parsed.row !== undefined) {
    tally.recognised += 1;
    rows.store(line.number, parsed.row);
  } else {
    if (parsed.recognised) tally.recognised += 1;
    rows.quarantine(line.number, parsed.reason, excerptOf(bytes));
  }
}

/** The original fails on the mark; it says nothing about the row behind it. */
function withoutByteOrderMark(bytes: Buffer | undefined): Buffer | undefined {
  return bytes?.subarray(0, 3).equals(byteOrderMark) === true ? bytes.subarray(3) : bytes;
}

/** The start of a line for people; paths of users' machines are left out. */
function excerptOf(bytes: Buffer): string {
  return bytes
    .subarray(0, excerptBytes)
    .toString('utf8')
    .replaceAll('\0', '\u2400')
    .replace(/"(path|original_file_path)"\s*:\s*"(?:\\.|[^"\\])*"?/g, '"$1": "…"');
}

function wholeFileReason(bytes: number, lines: number): string {
  if (bytes === 0) return 'the file is empty';
  if (lines === 0) return 'the file has blank lines only';
  return `none of its ${lines} lines is a row: not a batch, compressed, or in another encoding than UTF-8`;
}

function changed(name: string): TowerError {
  return new TowerError('BATCH_FILE_CHANGED', `${name}: the raw file is not the one that was downloaded`, {
    retryable: true,
    next: 'It is downloaded again.',
  });
}
