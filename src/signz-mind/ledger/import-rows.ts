import type { FeedbackRow, SnippetRow } from '../ingest/batch-rows.js';
import type { SqliteDatabase } from './database.js';

/** What a batch's rows became. */
export interface RowCounts {
  readonly new: number;
  readonly updated: number;
  readonly stale: number;
  readonly duplicate: number;
  readonly quarantined: number;
}

/** Source of rows taken over from an old tower database, which does not know whose they are. */
export const legacySource = 'legacy';

interface Known {
  readonly id: number;
  readonly source: string;
  readonly batchId: number;
  readonly line: number;
}

/**
 * Writes the rows of one batch inside a transaction. The client's own time decides which version of a snippet wins, equal
 * times keep the first; feedback never changes. Every row leaves exactly one trace for its batch and line: stored,
 * superseded or quarantined.
 */
export class RowWriter {
  readonly #database: SqliteDatabase;
  readonly #batch: { readonly id: number; readonly source: string };
  /** Sources whose row of the same uuid is the same row: the taken-over ones and their owners. */
  readonly #relatedSources: readonly string[];
  readonly #counts = { new: 0, updated: 0, stale: 0, duplicate: 0, quarantined: 0 };

  constructor(database: SqliteDatabase, batch: { readonly id: number; readonly source: string }) {
    this.#database = database;
    this.#batch = batch;
    this.#relatedSources = database
      .all<{ source: string }>(
        `SELECT DISTINCT source FROM batches WHERE source <> ?1 AND (?1 = '${legacySource}' OR source = '${legacySource}')`,
        batch.source,
      )
      .map(({ source }) => source);
  }

  get counts(): RowCounts {
    return { ...this.#counts };
  }

  store(line: number, row: SnippetRow | FeedbackRow): void {
    if (row.kind === 'snippet') this.#storeSnippet(line, row);
    else this.#storeFeedback(line, row);
  }

  quarantine(line: number, reason: string, excerpt: string): void {
    this.#counts.quarantined += 1;
    this.#database.run(
      'INSERT INTO quarantined_rows (batch_id, line, reason, excerpt) VALUES (?, ?, ?, ?)',
      ...[this.#batch.id, line, reason, excerpt],
    );
  }

  #storeSnippet(line: number, row: SnippetRow): void {
    const { id: batchId, source } = this.#batch;
    if (this.#relatedSources.length === 0 && this.#insertSnippet(line, row)) return;
    const known = this.#find((of) =>
      this.#database.get<Known & { modified: string }>(
        'SELECT id, source, batch_id AS batchId, line, modified FROM snippets WHERE source = ? AND uuid = ?',
        ...[of, row.uuid],
      ),
    );
    if (known === undefined) {
      this.#insertSnippet(line, row);
    } else if (this.#wins(row, known)) {
      this.#counts.updated += 1;
      this.#database.run(
        `UPDATE snippets SET batch_id = ?, line = ?, source = ?, path_hash = ?, content = ?, quality_label = ?,
         created = ?, modified = ? WHERE id = ?`,
        ...[batchId, line, source, row.pathHash, row.content, row.qualityLabel, row.created, row.modified, known.id],
      );
      this.#database.run('UPDATE batches SET replaced_rows = replaced_rows + 1 WHERE id = ?', known.batchId);
      this.#supersede(known, row, { reason: 'replaced', by: { batchId, line } });
    } else {
      const reason = row.modified === known.modified && this.#isStored(known.id, row) ? 'duplicate' : 'stale';
      this.#counts[reason] += 1;
      this.#supersede({ batchId, line }, row, { reason, by: known });
    }
  }

  /** Tried before any look-up: most rows are new, and one statement a row is half the time of two. */
  #insertSnippet(line: number, row: SnippetRow): boolean {
    const { id: batchId, source } = this.#batch;
    const inserted = this.#database.run(
      `INSERT INTO snippets (batch_id, line, source, uuid, path_hash, content, quality_label, created, modified)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, uuid) DO NOTHING`,
      ...[batchId, line, source, row.uuid, row.pathHash, row.content, row.qualityLabel, row.created, row.modified],
    );
    this.#counts.new += inserted;
    return inserted > 0;
  }

  #find<Row extends Known>(lookUp: (source: string) => Row | undefined): Row | undefined {
    const own = lookUp(this.#batch.source);
    if (own !== undefined || this.#relatedSources.length === 0) return own;
    for (const source of this.#relatedSources) {
      const related = lookUp(source);
      if (related !== undefined) return related;
    }
    return undefined;
  }

  /** A taken-over row has the time of the old tower's import, not of its editor: the editor's own row replaces it. */
  #wins(row: SnippetRow, known: Known & { readonly modified: string }): boolean {
    if (known.source === this.#batch.source) return row.modified > known.modified;
    return known.source === legacySource;
  }

  #isStored(id: number, row: SnippetRow): boolean {
    const stored = this.#database.get(
      'SELECT 1 AS found FROM snippets WHERE id = ? AND content = ? AND quality_label = ? AND path_hash = ?',
      ...[id, row.content, row.qualityLabel, row.pathHash],
    );
    return stored !== undefined;
  }

  #storeFeedback(line: number, row: FeedbackRow): void {
    if (this.#relatedSources.length === 0 && this.#insertFeedback(line, row)) return;
    const known = this.#find((of) =>
      this.#database.get<Known>(
        'SELECT id, source, batch_id AS batchId, line FROM feedback WHERE source = ? AND uuid = ?',
        ...[of, row.uuid],
      ),
    );
    if (known === undefined) {
      this.#insertFeedback(line, row);
    } else {
      this.#counts.duplicate += 1;
      this.#supersede({ batchId: this.#batch.id, line }, row, { reason: 'duplicate', by: known });
    }
  }

  #insertFeedback(line: number, row: FeedbackRow): boolean {
    const inserted = this.#database.run(
      `INSERT INTO feedback (batch_id, line, source, uuid, path_hash, context, action_type, output, feedback_type, notes,
       created, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, uuid) DO NOTHING`,
      ...[this.#batch.id, line, this.#batch.source, row.uuid, row.pathHash, row.context, row.actionType, row.output],
      ...[row.feedbackType, row.notes, row.created, row.modified],
    );
    this.#counts.new += inserted;
    return inserted > 0;
  }

  #supersede(
    place: { readonly batchId: number; readonly line: number },
    row: SnippetRow | FeedbackRow,
    cause: {
      readonly reason: 'stale' | 'duplicate' | 'replaced';
      readonly by: { readonly batchId: number; readonly line: number };
    },
  ): void {
    this.#database.run(
      `INSERT INTO superseded_rows (batch_id, line, kind, uuid, reason, by_batch_id, by_line)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ...[place.batchId, place.line, row.kind, row.uuid, cause.reason, cause.by.batchId, cause.by.line],
    );
  }
}
