import type { LedgerAccess } from './access.js';
import { now } from './batches.js';

/** One daily cycle, named by its logical time (ISO 8601 UTC). */
export interface CycleRecord {
  readonly logicalTime: string;
  /** `null` while it runs. */
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly startedAt: string;
  readonly finishedAt: string | null;
}

const columns = 'logical_time AS logicalTime, outcome, reason, started_at AS startedAt, finished_at AS finishedAt';

export class CycleTable {
  readonly #ledger: LedgerAccess;

  constructor(ledger: LedgerAccess) {
    this.#ledger = ledger;
  }

  /** Newest first. */
  list(limit = 50): CycleRecord[] {
    return this.#ledger.reader.all<CycleRecord>(
      `SELECT ${columns} FROM cycles ORDER BY logical_time DESC LIMIT ?`,
      limit,
    );
  }

  get(logicalTime: string): CycleRecord | undefined {
    return this.#ledger.reader.get<CycleRecord>(`SELECT ${columns} FROM cycles WHERE logical_time = ?`, logicalTime);
  }

  /** Repeatable: a cycle is started once. */
  async start(logicalTime: string): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        'INSERT INTO cycles (logical_time, started_at) VALUES (?, ?) ON CONFLICT (logical_time) DO NOTHING',
        ...[logicalTime, now()],
      ),
    );
  }

  async finish(logicalTime: string, result: { readonly outcome: string; readonly reason: string }): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        `INSERT INTO cycles (logical_time, outcome, reason, started_at, finished_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (logical_time) DO UPDATE
         SET outcome = excluded.outcome, reason = excluded.reason, finished_at = excluded.finished_at`,
        ...[logicalTime, result.outcome, result.reason, now(), now()],
      ),
    );
  }
}
