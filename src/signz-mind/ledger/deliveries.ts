import type { LedgerAccess } from './access.js';
import { now } from './batches.js';
import { setDelivered } from './runs.js';

type DeliveryState = 'packaged' | 'uploaded' | 'marked' | 'superseded';

export interface DeliveryRecord {
  readonly version: string;
  readonly state: DeliveryState;
  readonly packageSha256: string;
  readonly bytes: number;
  /** Upload attempts so far. */
  readonly attempts: number;
  readonly reason: string | null;
  readonly packagedAt: string;
  readonly uploadedAt: string | null;
  readonly markedAt: string | null;
}

const columns = `version, state, package_sha256 AS packageSha256, bytes, attempts, reason,
  packaged_at AS packagedAt, uploaded_at AS uploadedAt, marked_at AS markedAt`;

export class DeliveryTable {
  readonly #ledger: LedgerAccess;

  constructor(ledger: LedgerAccess) {
    this.#ledger = ledger;
  }

  get(version: string): DeliveryRecord | undefined {
    return this.#ledger.reader.get<DeliveryRecord>(`SELECT ${columns} FROM deliveries WHERE version = ?`, version);
  }

  /** Newest first. */
  list(limit = 50): DeliveryRecord[] {
    return this.#ledger.reader.all<DeliveryRecord>(`SELECT ${columns} FROM deliveries ORDER BY id DESC LIMIT ?`, limit);
  }

  /** Promoted versions that the server does not have yet and nothing newer has replaced, oldest first. */
  undelivered(): string[] {
    return this.#ledger.reader
      .all<{ version: string }>(
        `SELECT r.version FROM training_runs r LEFT JOIN deliveries d ON d.version = r.version
         WHERE r.state = 'promoted' AND (d.state IS NULL OR d.state = 'packaged') ORDER BY r.id`,
      )
      .map(({ version }) => version);
  }

  /** Repeatable. A package with other bytes than before replaces the record only while nothing was uploaded. */
  async recordPackage(version: string, file: { readonly sha256: string; readonly bytes: number }): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        `INSERT INTO deliveries (version, state, package_sha256, bytes, packaged_at) VALUES (?, 'packaged', ?, ?, ?)
         ON CONFLICT (version) DO UPDATE SET package_sha256 = excluded.package_sha256, bytes = excluded.bytes
         WHERE state = 'packaged'`,
        ...[version, file.sha256, file.bytes, now()],
      ),
    );
  }

  async recordAttempt(version: string): Promise<void> {
    await this.#ledger.write((database) =>
      database.run("UPDATE deliveries SET attempts = attempts + 1 WHERE version = ? AND state = 'packaged'", version),
    );
  }

  /** Why the last attempt failed, for people. */
  async recordFailure(version: string, reason: string): Promise<void> {
    await this.#ledger.write((database) =>
      database.run("UPDATE deliveries SET reason = ? WHERE version = ? AND state = 'packaged'", reason, version),
    );
  }

  /** The server has the package: the batches of the version are delivered, and may be marked. */
  async recordUpload(version: string, reason: string): Promise<void> {
    await this.#ledger.write((database) => {
      database.run(
        `UPDATE deliveries SET state = 'uploaded', uploaded_at = ?, reason = ?
         WHERE version = ? AND state IN ('packaged', 'superseded')`,
        ...[now(), reason, version],
      );
      setDelivered(database, version);
    });
  }

  /** Closes every uploaded version of which no batch is left to be marked. */
  async closeMarked(): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        `UPDATE deliveries SET state = 'marked', marked_at = ? WHERE state = 'uploaded' AND NOT EXISTS (
           SELECT 1 FROM run_batches rb JOIN training_runs r ON r.id = rb.run_id JOIN batches b ON b.id = rb.batch_id
           WHERE r.version = deliveries.version AND b.state <> 'marked')`,
        now(),
      ),
    );
  }

  /**
   * What is promoted and not delivered yet gives way to one version. Repeatable.
   *
   * @returns the versions that gave way.
   */
  async supersedeOthers(version: string): Promise<string[]> {
    const others = this.undelivered().filter((other) => other !== version);
    for (const other of others) await this.supersede(other, version);
    return others;
  }

  /**
   * A newer promoted version takes over an undelivered one: the newer run gets its batches, so that they are marked with
   * it.
   */
  async supersede(version: string, by: string): Promise<void> {
    await this.#ledger.write((database) => {
      database.run(
        `INSERT INTO deliveries (version, state, package_sha256, bytes, reason, packaged_at)
         VALUES (?, 'superseded', '', 0, ?, ?)
         ON CONFLICT (version) DO UPDATE SET state = 'superseded', reason = excluded.reason WHERE state = 'packaged'`,
        ...[version, `replaced by ${by}`, now()],
      );
      database.run(
        `INSERT INTO run_batches (run_id, batch_id, rows)
         SELECT (SELECT id FROM training_runs WHERE version = ?), rb.batch_id, rb.rows FROM run_batches rb
         JOIN training_runs r ON r.id = rb.run_id JOIN deliveries d ON d.version = r.version
         WHERE r.version = ? AND d.state = 'superseded' ON CONFLICT DO NOTHING`,
        ...[by, version],
      );
      const newer = database.get<{ state: DeliveryState }>('SELECT state FROM deliveries WHERE version = ?', by);
      if (newer?.state === 'uploaded' || newer?.state === 'marked') setDelivered(database, by);
    });
  }
}
