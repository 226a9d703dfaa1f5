import { statSync } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import Libsql from 'libsql';

import { TowerError } from '../../errors.js';
import { queueAway } from './queue-faults.js';

const askAgainMs = 20;

/**
 * Lets one Tower at a time change the queue. It is a lock of the kernel on a file (SQLite's, on a database that stays empty),
 * so it is free again when its holder dies, however that happens, and nobody ever has to guess whether a lock is stale.
 * Programs of the original do not take it; against them every claim is a rename.
 */
export class QueueLock {
  readonly #path: string;
  readonly #patienceMs: number;
  #connection: Libsql.Database | undefined;
  #inode: number | undefined;
  /** Work of this process, one after the other: the kernel's lock is one of the process. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, patienceMs = 20_000) {
    this.#path = path;
    this.#patienceMs = patienceMs;
  }

  /** @throws TowerError `QUEUE_BUSY`, `QUEUE_AWAY` (both retryable), `QUEUE_FORBIDDEN`; what the file system says of its file, as it is */
  async hold<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(() => this.#locked(work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Frees the lock, also under work that will never end. */
  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#inode = undefined;
  }

  async #locked<Result>(work: () => Promise<Result>): Promise<Result> {
    const connection = await this.#acquire();
    try {
      return await work();
    } finally {
      if (connection.open && connection.inTransaction) connection.exec('ROLLBACK');
    }
  }

  /** A queue directory may be put in the place of another one: a lock on the old one's file keeps nobody out of the new one. */
  async #closeIfReplaced(): Promise<void> {
    if (this.#connection === undefined || this.#inode === undefined) return;
    const { ino } = await stat(this.#path);
    if (ino !== this.#inode) this.close();
  }

  async #acquire(): Promise<Libsql.Database> {
    const deadline = performance.now() + this.#patienceMs;
    for (;;) {
      try {
        await this.#closeIfReplaced();
        if (this.#connection === undefined) await requireUsable(this.#path);
        this.#connection ??= new Libsql(this.#path);
        this.#connection.exec('BEGIN IMMEDIATE');
        this.#inode ??= statSync(this.#path).ino;
        return this.#connection;
      } catch (error) {
        const code = String((error as { code?: unknown }).code);
        if (!code.startsWith('SQLITE_BUSY')) {
          // After a fault of the disk the connection may never work again.
          this.close();
          throw (error as NodeJS.ErrnoException).syscall === undefined ? lockFailed(this.#path, error) : error;
        }
        if (performance.now() > deadline) throw queueBusy(this.#path, error);
      }
      await sleep(askAgainMs);
    }
  }
}

/**
 * Says why a lock file cannot be used, which SQLite does not, and refuses one that may only be read: SQLite would "lock" it and keep
 * nobody out.
 */
async function requireUsable(path: string): Promise<void> {
  try {
    // Not opened for this: to close it again would end the locks of other connections of this process.
    await access(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await access(dirname(path), constants.W_OK | constants.X_OK);
    return;
  }
  if ((await stat(path)).isFile()) return;
  throw Object.assign(new Error(`${path} is no file`), { code: 'EEXIST', syscall: 'lock', path });
}

function queueBusy(path: string, cause: unknown): TowerError {
  return new TowerError('QUEUE_BUSY', `another Tower has held the lock of the queue for long (${path})`, {
    ...{ retryable: true, retryAfterMs: 30_000, cause },
    next: 'Look for a Tower on this queue that hangs or is stopped.',
  });
}

/** What stays so until a person changes it; every other fault is the disk's. */
const forbidden = /^SQLITE_(READONLY|CANTOPEN|PERM|NOTADB|CORRUPT)(_.*)?$/;

function lockFailed(path: string, cause: unknown): TowerError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (!forbidden.test(String(code))) return queueAway(path, `its lock cannot be taken: ${message}`, cause);
  return new TowerError('QUEUE_FORBIDDEN', `the lock of the queue cannot be taken: ${message}`, {
    ...{ cause, details: { path } },
    next: `Give the user that runs Tower the right to write ${path}, on a file system with locks.`,
  });
}
