import { TowerError } from '../../errors.js';
import type { LedgerAccess } from './access.js';
import { now } from './batches.js';
import type { SqliteDatabase } from './database.js';

/** Who decided: the evaluation gate, a person for a version, or a person going back to an earlier one. */
export type ChampionCause = 'gate' | 'by-hand' | 'rollback';

export interface ChampionChange {
  readonly version: string;
  /** `null` for the first champion. */
  readonly previous: string | null;
  readonly cause: ChampionCause;
  readonly reason: string;
  readonly changedAt: string;
}

interface Decision {
  readonly cause: ChampionCause;
  readonly reason: string;
}

interface KnownRun {
  readonly id: number;
  readonly state: string;
  readonly champion: number;
}

/** Every change of the champion, with who decided and why. */
export class ChampionTable {
  readonly #ledger: LedgerAccess;

  constructor(ledger: LedgerAccess) {
    this.#ledger = ledger;
  }

  /** Newest first. */
  list(limit = 50): ChampionChange[] {
    return this.#ledger.reader.all<ChampionChange>(
      `SELECT version, previous, cause, reason, changed_at AS changedAt FROM champion_changes ORDER BY id DESC LIMIT ?`,
      limit,
    );
  }

  /** The version that was the champion before the present one and may be it again. */
  previous(): string | undefined {
    return this.#ledger.reader.get<{ version: string }>(
      `SELECT c.version FROM champion_changes c JOIN training_runs r ON r.version = c.version
       WHERE r.champion = 0 AND r.state = 'promoted'
       AND c.id < (SELECT max(id) FROM champion_changes WHERE version = (SELECT version FROM training_runs WHERE champion = 1))
       ORDER BY c.id DESC LIMIT 1`,
    )?.version;
  }

  /**
   * Makes a trained version the champion against or without the gate's word. Repeatable.
   *
   * @throws TowerError `UNKNOWN_VERSION`, `VERSION_NOT_TRAINED`
   */
  async promote(version: string, reason: string): Promise<void> {
    await this.#ledger.write((database) => {
      const { state } = known(database, version);
      if (state !== 'trained' && state !== 'rejected' && state !== 'promoted') {
        throw new TowerError('VERSION_NOT_TRAINED', `${version} is ${state}: there is no checked adapter to promote`, {
          next: '`tower adapters list` shows what each version has reached.',
        });
      }
      if (state !== 'promoted') {
        database.run(
          "UPDATE training_runs SET state = 'promoted', reason = ? WHERE version = ?",
          ...[`promoted by hand: ${reason}`, version],
        );
      }
      setChampion(database, version, { cause: 'by-hand', reason });
    });
  }

  /**
   * Makes an earlier promoted version the champion again. Repeatable.
   *
   * @throws TowerError `UNKNOWN_VERSION`, `VERSION_NOT_PROMOTED`
   */
  async rollback(version: string, reason: string): Promise<void> {
    await this.#ledger.write((database) => {
      const { state } = known(database, version);
      if (state !== 'promoted') {
        throw new TowerError('VERSION_NOT_PROMOTED', `${version} is ${state}: it never was the champion`, {
          next: '`tower adapters promote` takes a version that the gate decided against.',
        });
      }
      setChampion(database, version, { cause: 'rollback', reason });
    });
  }

  /**
   * Notes a second version with the adapter of an earlier one, promoted and not delivered yet, and makes it the champion.
   * Repeatable: the same copy is noted once.
   */
  async addCopy(copy: {
    readonly of: string;
    readonly version: string;
    readonly cycle: string;
    readonly reason: string;
  }): Promise<void> {
    await this.#ledger.write((database) => {
      const { id } = known(database, copy.of);
      const added = database.run(
        `INSERT INTO training_runs (run, version, cycle, fingerprint, training_set_sha256, state, train_samples,
         held_out_samples, simulated, metrics, reason, planned_at, finished_at)
         SELECT ?1, ?1, ?2, fingerprint, training_set_sha256, 'promoted', train_samples, held_out_samples, simulated,
         metrics, 'the adapter of ' || version || ' again: ' || ?3, ?4, ?4 FROM training_runs WHERE id = ?5
         ON CONFLICT (run) DO NOTHING`,
        ...[copy.version, copy.cycle, copy.reason, now(), id],
      );
      if (added > 0) {
        database.run(
          `INSERT INTO run_batches (run_id, batch_id, rows)
           SELECT (SELECT id FROM training_runs WHERE version = ?), batch_id, rows FROM run_batches WHERE run_id = ?`,
          ...[copy.version, id],
        );
      }
      setChampion(database, copy.version, { cause: 'rollback', reason: copy.reason });
    });
  }
}

/** Makes a version the one that candidates are compared with, and records why; nothing when it is that already. */
export function setChampion(database: SqliteDatabase, version: string, { cause, reason }: Decision): void {
  if (known(database, version).champion === 1) return;
  const previous = database.get<{ version: string }>('SELECT version FROM training_runs WHERE champion = 1');
  database.run('UPDATE training_runs SET champion = 0 WHERE champion = 1');
  database.run('UPDATE training_runs SET champion = 1 WHERE version = ?', version);
  database.run(
    'INSERT INTO champion_changes (version, previous, cause, reason, changed_at) VALUES (?, ?, ?, ?, ?)',
    ...[version, previous?.version ?? null, cause, reason, now()],
  );
}

function known(database: SqliteDatabase, version: string): KnownRun {
  const run = database.get<KnownRun>('SELECT id, state, champion FROM training_runs WHERE version = ?', version);
  if (run !== undefined) return run;
  throw new TowerError('UNKNOWN_VERSION', `the ledger knows no adapter ${version}`, {
    next: '`tower adapters list` names the versions.',
  });
}
