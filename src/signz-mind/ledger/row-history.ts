import type { SqliteDatabase } from './database.js';

/** One row that is not in the ledger, and why. */
export interface QuarantinedRow {
  readonly batch: string;
  readonly line: number;
  readonly reason: string;
  /** Start of the line, without paths. */
  readonly excerpt: string;
}

/** Where one version of a row came from and what became of it. */
export interface RowVersion {
  readonly uuid: string;
  readonly kind: 'snippet' | 'feedback';
  readonly batch: string;
  readonly line: number;
  /** `stored` is the version in use; `replaced` was in use before. */
  readonly state: 'stored' | 'stale' | 'duplicate' | 'replaced';
  /** The version that it lost against; `null` for the stored one. */
  readonly by: { readonly batch: string; readonly line: number } | null;
}

/** The stored body of a row. */
export type StoredRow =
  | {
      readonly kind: 'snippet';
      readonly source: string;
      readonly qualityLabel: string;
      readonly modified: string;
      readonly content: string;
    }
  | {
      readonly kind: 'feedback';
      readonly source: string;
      readonly feedbackType: string;
      readonly actionType: string;
      readonly modified: string | null;
      readonly context: string;
      readonly output: string;
    };

/** Quarantined rows of one batch or of all, in ledger order. */
export function quarantinedRows(
  database: SqliteDatabase,
  { batch = null, limit = 1000 }: { readonly batch?: string | null; readonly limit?: number } = {},
): QuarantinedRow[] {
  return database.all<QuarantinedRow>(
    `SELECT b.name AS batch, q.line, q.reason, q.excerpt FROM quarantined_rows q JOIN batches b ON b.id = q.batch_id
     WHERE ?1 IS NULL OR b.name = ?1 ORDER BY b.id, q.line LIMIT ?2`,
    ...[batch, limit],
  );
}

/** Every version of a row that came in, in order of import; several users' rows can share a uuid. */
export function rowVersions(database: SqliteDatabase, uuid: string): RowVersion[] {
  const rows = database.all<Omit<RowVersion, 'by'> & { byBatch: string | null; byLine: number | null }>(
    `SELECT ?1 AS uuid, r.kind, b.name AS batch, r.line, r.state, o.name AS byBatch, r.by_line AS byLine FROM (
       SELECT 'snippet' AS kind, batch_id, line, 'stored' AS state, NULL AS by_batch_id, NULL AS by_line
         FROM snippets WHERE uuid = ?1
       UNION ALL SELECT 'feedback', batch_id, line, 'stored', NULL, NULL FROM feedback WHERE uuid = ?1
       UNION ALL SELECT kind, batch_id, line, reason, by_batch_id, by_line FROM superseded_rows WHERE uuid = ?1
     ) r JOIN batches b ON b.id = r.batch_id LEFT JOIN batches o ON o.id = r.by_batch_id
     ORDER BY b.imported_at, b.id, r.line`,
    uuid,
  );
  return rows.map(({ byBatch, byLine, ...row }) => ({
    ...row,
    by: byBatch === null || byLine === null ? null : { batch: byBatch, line: byLine },
  }));
}

/** What is in use under a uuid: one row for each source that has it. */
export function storedRows(database: SqliteDatabase, uuid: string): StoredRow[] {
  const snippets = database.all<Omit<StoredRow & { kind: 'snippet' }, 'kind'>>(
    `SELECT source, quality_label AS qualityLabel, modified, content FROM snippets WHERE uuid = ? ORDER BY source`,
    uuid,
  );
  const feedback = database.all<Omit<StoredRow & { kind: 'feedback' }, 'kind'>>(
    `SELECT source, feedback_type AS feedbackType, action_type AS actionType, modified, context, output
     FROM feedback WHERE uuid = ? ORDER BY source`,
    uuid,
  );
  return [
    ...snippets.map((row) => ({ kind: 'snippet' as const, ...row })),
    ...feedback.map((row) => ({ kind: 'feedback' as const, ...row })),
  ];
}
