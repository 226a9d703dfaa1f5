import type { SqliteDatabase } from '../ledger/database.js';
import type { TrainingSetOptions } from './options.js';

interface TrainingSnippet {
  readonly kind: 'snippet';
  readonly batchId: number;
  /** Hash of the source file's path; all rows of one file go to one side of the split. */
  readonly fileKey: string;
  readonly content: string;
}

export interface TrainingFeedback {
  readonly kind: 'feedback';
  readonly batchId: number;
  readonly fileKey: string;
  readonly feedbackType: string;
  readonly context: string;
  readonly output: string;
}

export type TrainingRow = TrainingSnippet | TrainingFeedback;

/**
 * The rows that teach, snippets first. `original` takes them in the original's order: snippets by local id, feedback by
 * creation time. `editor` takes an order that does not depend on when which batch arrived.
 */
export function* trainingRows(snapshot: SqliteDatabase, options: TrainingSetOptions): Generator<TrainingRow> {
  // Ids first, bodies one by one: memory stays small whatever the rows hold.
  if (options.snippets) {
    const order = options.format === 'original' ? 'id' : 'path_hash, source, uuid';
    const ids = snapshot.all<{ id: number }>(
      `SELECT id FROM snippets WHERE quality_label = ? ORDER BY ${order}`,
      options.snippetQualityLabel,
    );
    for (const { id } of ids) {
      const row = snapshot.get<Omit<TrainingSnippet, 'kind'>>(
        'SELECT batch_id AS batchId, path_hash AS fileKey, content FROM snippets WHERE id = ?',
        id,
      );
      if (row !== undefined) yield { kind: 'snippet', ...row };
    }
  }
  if (options.feedback) {
    const order = options.format === 'original' ? 'created IS NULL, created, id' : 'source, uuid';
    const ids = snapshot.all<{ id: number }>(
      `SELECT id FROM feedback WHERE context <> '' AND output <> ''
       AND (json_array_length(?1) = 0 OR feedback_type IN (SELECT value FROM json_each(?1))) ORDER BY ${order}`,
      JSON.stringify(options.positiveFeedbackTypes),
    );
    for (const { id } of ids) {
      const row = snapshot.get<Omit<TrainingFeedback, 'kind'>>(
        `SELECT batch_id AS batchId, coalesce(path_hash, source || ':' || uuid) AS fileKey,
         feedback_type AS feedbackType, context, output FROM feedback WHERE id = ?`,
        id,
      );
      if (row !== undefined) yield { kind: 'feedback', ...row };
    }
  }
}
