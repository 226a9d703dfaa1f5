import type { LedgerAccess } from './access.js';
import { now } from './batches.js';
import { setChampion } from './champion.js';
import type { SqliteDatabase } from './database.js';

export type RunState = 'planned' | 'training' | 'trained' | 'rejected' | 'promoted' | 'failed';
export type Metrics = Readonly<Record<string, string | number | boolean | null>>;

/** What is fixed when a training run is planned. */
export interface PlannedRun {
  readonly run: string;
  /** `adapter_ft_<UTC YYYYMMDD_HHMMSS>` of the cycle's logical time (contract signz-mind 1.4). */
  readonly version: string;
  /** Logical time of the cycle that planned it. */
  readonly cycle: string;
  readonly fingerprint: string;
  readonly trainingSetSha256: string;
  readonly trainSamples: number;
  readonly heldOutSamples: number;
  readonly simulated: boolean;
}

export interface RunRecord extends PlannedRun {
  readonly id: number;
  readonly state: RunState;
  /** The adapter that new candidates are compared with; at most one run is it. */
  readonly champion: boolean;
  readonly metrics: Metrics;
  readonly reason: string | null;
  readonly plannedAt: string;
  readonly finishedAt: string | null;
}

type StoredRun = Omit<RunRecord, 'simulated' | 'champion' | 'metrics'> & {
  simulated: number;
  champion: number;
  metrics: string;
};

const columns = `id, run, version, cycle, fingerprint, training_set_sha256 AS trainingSetSha256, state,
  train_samples AS trainSamples, held_out_samples AS heldOutSamples, simulated, champion, metrics, reason,
  planned_at AS plannedAt, finished_at AS finishedAt`;

export class RunTable {
  readonly #ledger: LedgerAccess;

  constructor(ledger: LedgerAccess) {
    this.#ledger = ledger;
  }

  get(run: string): RunRecord | undefined {
    return this.#one('run = ?', run);
  }

  byVersion(version: string): RunRecord | undefined {
    return this.#one('version = ?', version);
  }

  champion(): RunRecord | undefined {
    return this.#one('champion = ?', 1);
  }

  /** Newest run with this fingerprint, whatever became of it; of those planned before the run with the id `before`. */
  byFingerprint(fingerprint: string, before = Number.MAX_SAFE_INTEGER): RunRecord | undefined {
    return this.#one('fingerprint = ? AND id < ? ORDER BY id DESC', fingerprint, before);
  }

  /** Newest first. */
  list(limit = 50): RunRecord[] {
    return this.#ledger.reader
      .all<StoredRun>(`SELECT ${columns} FROM training_runs ORDER BY id DESC LIMIT ?`, limit)
      .map(toRecord);
  }

  /** Names of the batches whose rows are in a run's training set. */
  batchNames(run: string): string[] {
    return this.#ledger.reader
      .all<{
        name: string;
      }>(
        'SELECT b.name FROM run_batches rb JOIN training_runs r ON r.id = rb.run_id JOIN batches b ON b.id = rb.batch_id WHERE r.run = ? ORDER BY b.id',
        run,
      )
      .map(({ name }) => name);
  }

  /**
   * Plans a run with the batches of its training set (batch id → rows). Repeatable: a run that is known keeps what was
   * fixed for it.
   */
  async plan(planned: PlannedRun, batches: ReadonlyMap<number, number>): Promise<RunRecord> {
    await this.#ledger.write((database) => {
      const added = database.run(
        `INSERT INTO training_runs (run, version, cycle, fingerprint, training_set_sha256, state, train_samples,
         held_out_samples, simulated, planned_at) VALUES (?, ?, ?, ?, ?, 'planned', ?, ?, ?, ?)
         ON CONFLICT (run) DO NOTHING`,
        ...[planned.run, planned.version, planned.cycle, planned.fingerprint, planned.trainingSetSha256],
        ...[planned.trainSamples, planned.heldOutSamples, planned.simulated ? 1 : 0, now()],
      );
      if (added > 0) linkBatches(database, planned.run, batches);
    });
    return this.#known(planned.run);
  }

  /**
   * Adds batches whose rows turned out to be in a run's training set already (same fingerprint, no new training). They
   * take the state of that run's batches.
   */
  async linkBatches(run: string, batches: ReadonlyMap<number, number>): Promise<void> {
    const { state, version } = this.#known(run);
    await this.#ledger.write((database) => {
      linkBatches(database, run, batches);
      if (state === 'trained' || state === 'rejected' || state === 'promoted') setTrained(database, run);
      if (state === 'rejected') setSettled(database, run, rejectedReason(version));
      const delivery = database.get<{ state: string }>('SELECT state FROM deliveries WHERE version = ?', version);
      if (delivery?.state === 'uploaded' || delivery?.state === 'marked') setDelivered(database, version);
    });
  }

  async recordTraining(run: string): Promise<void> {
    await this.#set(run, { state: 'training', from: ['planned', 'failed'] });
  }

  /** The trainer's artefact was checked: the batches of the run are trained. */
  async recordTrained(run: string, metrics: Metrics): Promise<void> {
    await this.#ledger.write((database) => {
      database.run(
        `UPDATE training_runs SET state = 'trained', metrics = ?, finished_at = ?
         WHERE run = ? AND state IN ('planned', 'training', 'failed')`,
        ...[JSON.stringify(metrics), now(), run],
      );
      setTrained(database, run);
    });
  }

  async recordFailed(run: string, reason: string): Promise<void> {
    await this.#set(run, { state: 'failed', from: ['planned', 'training'], reason });
  }

  /** The gate decided against the candidate: it stays on disk; batches that are in no adapter yet to be delivered are settled. */
  async reject(run: string, reason: string, metrics: Metrics = {}): Promise<void> {
    const { version } = this.#known(run);
    await this.#ledger.write((database) => {
      decide(database, run, { state: 'rejected', reason, metrics });
      setTrained(database, run);
      setSettled(database, run, rejectedReason(version));
    });
  }

  /** The candidate becomes the champion. Its batches are settled when it is delivered. */
  async promote(run: string, reason: string, metrics: Metrics = {}): Promise<void> {
    const { version } = this.#known(run);
    await this.#ledger.write((database) => {
      const decided = decide(database, run, { state: 'promoted', reason, metrics });
      setTrained(database, run);
      // Said again, it must not undo what a person has decided since.
      if (decided) setChampion(database, version, { cause: 'gate', reason });
    });
  }

  async #set(run: string, change: { state: RunState; from: RunState[]; reason?: string }): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        `UPDATE training_runs SET state = ?, reason = ? WHERE run = ? AND state IN (SELECT value FROM json_each(?))`,
        ...[change.state, change.reason ?? null, run, JSON.stringify(change.from)],
      ),
    );
  }

  #known(run: string): RunRecord {
    const record = this.get(run);
    if (record === undefined) throw new Error(`the ledger knows no training run ${run}`);
    return record;
  }

  #one(condition: string, ...values: (string | number)[]): RunRecord | undefined {
    const row = this.#ledger.reader.get<StoredRun>(
      `SELECT ${columns} FROM training_runs WHERE ${condition}`,
      ...values,
    );
    return row === undefined ? undefined : toRecord(row);
  }
}

/** Batches of a delivered version: settled, unless they were marked before. */
export function setDelivered(database: SqliteDatabase, version: string): void {
  database.run(
    `UPDATE batches SET state = 'delivered', settled_reason = 'in the delivered adapter ' || ?
     WHERE state IN ('imported', 'trained') AND id IN (
       SELECT rb.batch_id FROM run_batches rb JOIN training_runs r ON r.id = rb.run_id WHERE r.version = ?)`,
    ...[version, version],
  );
}

function linkBatches(database: SqliteDatabase, run: string, batches: ReadonlyMap<number, number>): void {
  for (const [batch, rows] of batches) {
    database.run(
      `INSERT INTO run_batches (run_id, batch_id, rows) SELECT id, ?, ? FROM training_runs WHERE run = ?
       ON CONFLICT DO NOTHING`,
      ...[batch, rows, run],
    );
  }
}

const batchesOfRun = 'SELECT rb.batch_id FROM run_batches rb JOIN training_runs r ON r.id = rb.run_id WHERE r.run = ?';

function setTrained(database: SqliteDatabase, run: string): void {
  database.run(`UPDATE batches SET state = 'trained' WHERE state = 'imported' AND id IN (${batchesOfRun})`, run);
}

/** A batch that is also in a promoted adapter waits for that delivery, which may still fail for good. */
function setSettled(database: SqliteDatabase, run: string, reason: string): void {
  database.run(
    `UPDATE batches SET settled_reason = ? WHERE state = 'trained' AND settled_reason IS NULL
     AND id IN (${batchesOfRun}) AND id NOT IN (
       SELECT rb.batch_id FROM run_batches rb JOIN training_runs r ON r.id = rb.run_id
       LEFT JOIN deliveries d ON d.version = r.version
       WHERE r.state = 'promoted' AND (d.state IS NULL OR d.state = 'packaged'))`,
    ...[reason, run],
  );
}

/** @returns whether this decision is the first. */
function decide(
  database: SqliteDatabase,
  run: string,
  decision: { state: 'rejected' | 'promoted'; reason: string; metrics: Metrics },
): boolean {
  const stored = database.get<{ metrics: string }>('SELECT metrics FROM training_runs WHERE run = ?', run);
  const metrics = { ...(JSON.parse(stored?.metrics ?? '{}') as Metrics), ...decision.metrics };
  const changed = database.run(
    `UPDATE training_runs SET state = ?, reason = ?, metrics = ?
     WHERE run = ? AND state NOT IN ('rejected', 'promoted')`,
    ...[decision.state, decision.reason, JSON.stringify(metrics), run],
  );
  return changed > 0;
}

function rejectedReason(version: string): string {
  return `in the candidate ${version}, which the gate decided against`;
}

function toRecord(row: StoredRun): RunRecord {
  return {
    ...row,
    simulated: row.simulated === 1,
    champion: row.champion === 1,
    metrics: JSON.parse(row.metrics) as Metrics,
  };
}
