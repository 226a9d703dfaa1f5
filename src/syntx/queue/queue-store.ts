import { randomUUID } from 'node:crypto';
import { mkdir, readdir, stat, statfs } from 'node:fs/promises';

import { syncDirectory } from '../../files/durable-write.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import type { Log } from '../../log/logger.js';
import { finishClaims } from './claim.js';
import { IncomingIndex } from './incoming-index.js';
import { Leases } from './leases.js';
import { finishMoves } from './move.js';
import { diskFull, onQueueFiles, queueChanged, queueEmpty, queueGone, queueMissing } from './queue-faults.js';
import { listFailedNames, type FailedNames } from './name-holder.js';
import { QueueLock } from './queue-lock.js';
import { QueuePaths, stages } from './queue-paths.js';
import { isYoung } from './seen-file.js';
import { writeStaged } from './staged-write.js';

export interface QueueStoreOptions {
  /** Which Tower this is (its state directory): whose leases it may judge. */
  readonly instance: string;
  /** Zone of the queue's times; default: the zone of this machine. */
  readonly timeZone?: string;
  /** Whether a queue directory that is not there is made. Default: it is refused, because its disk may not be mounted. */
  readonly create?: boolean;
  readonly now?: () => Date;
  readonly log?: Log;
}

const neededBytes = 4 * 1024 * 1024;

/** What every operation on the queue works with. */
export class QueueStore {
  readonly paths: QueuePaths;
  readonly leases: Leases;
  readonly incoming: IncomingIndex;
  readonly instance: string;
  readonly timeZone: string | undefined;
  readonly now: () => Date;
  readonly log: Log | undefined;
  readonly #create: boolean;
  readonly #lock: QueueLock;
  readonly #stuck = new Set<string>();
  readonly #warned = new Set<string>();
  #prepared = false;
  /** Since this process first saw it. */
  #wasThere = false;
  #failed: { readonly mark: number; readonly names: FailedNames } | undefined;

  constructor(root: string, options: QueueStoreOptions) {
    this.paths = new QueuePaths(root);
    this.leases = new Leases(this.paths);
    this.incoming = new IncomingIndex(this.paths);
    this.instance = options.instance;
    this.timeZone = options.timeZone;
    this.now = options.now ?? (() => new Date());
    this.log = options.log;
    this.#create = options.create ?? false;
    this.#lock = new QueueLock(this.paths.lockFile);
  }

  /**
   * Changes the queue: alone among Towers, and after what an earlier change left half done.
   *
   * @throws TowerError `QUEUE_MISSING` (retryable once the queue has been there), `QUEUE_BUSY`, `QUEUE_AWAY`, `DISK_FULL` (all retryable), `QUEUE_FORBIDDEN`, `QUEUE_SPLIT`, `QUEUE_INVALID`; `QUEUE_CHANGED` (retryable)
   */
  async change<Result>(work: () => Promise<Result>): Promise<Result> {
    return onQueueFiles(this.paths.root, async () => {
      await this.#prepare();
      return this.#lock.hold(async () => {
        await finishMoves(this.paths, (file, error) => this.#noteStuck(file, error));
        await finishClaims(this.paths, this.leases);
        return work();
      });
    }).catch((error: unknown) => {
      // Its directories have gone, perhaps with their disk: the next change looks anew.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#prepared = false;
      throw queueChanged(this.paths.root, error);
    });
  }

  /** Reads without the lock: what is just being moved may be seen at its old place or its new one. */
  async look<Result>(work: () => Promise<Result>): Promise<Result> {
    return onQueueFiles(this.paths.root, async () => {
      await this.#requireRoot();
      return work();
    });
  }

  /** Tells every process that serves this queue that `incoming` has jobs that may be older than others. */
  async markReturned(): Promise<void> {
    await writeStaged(this.paths.staging, this.paths.returnMark, randomUUID());
  }

  /** @throws TowerError `DISK_FULL` (retryable) when less than a few megabytes are left: what comes next could not be stored. */
  async requireSpace(): Promise<void> {
    if (!(await this.hasSpaceFor(0))) throw diskFull(this.paths.root);
  }

  /** Whether so many bytes fit beside those that jobs need. */
  async hasSpaceFor(bytes: number): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.paths.root);
    return bavail * bsize >= bytes + neededBytes;
  }

  /** For what would be said again and again. */
  warnOnce(details: Record<string, unknown>, message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.log?.warn(details, message);
  }

  /** Listed anew only when something has come to `error`, or left it, since. */
  async failedNames(): Promise<FailedNames> {
    const found = await stat(this.paths.directory('error'));
    if (this.#failed?.mark === found.mtimeMs) return this.#failed.names;
    const names = await listFailedNames(this.paths);
    this.#failed = isYoung(found, this.now()) ? undefined : { mark: found.mtimeMs, names };
    return names;
  }

  async sync(...directories: string[]): Promise<void> {
    for (const directory of new Set(directories)) await syncDirectory(directory);
  }

  close(): void {
    this.#lock.close();
  }

  /** Once for each: it is looked at with every change. */
  #noteStuck(file: string, error: unknown): void {
    if (this.#stuck.has(file)) return;
    this.#stuck.add(file);
    this.log?.error({ move: file, err: error }, 'a job cannot be moved on: something is in its way');
  }

  async #prepare(): Promise<void> {
    if (this.#prepared) return;
    const { paths } = this;
    await this.#requireRoot();
    for (const stage of stages) await mkdir(paths.directory(stage), { recursive: true });
    for (const directory of [
      paths.staging,
      paths.directory('broken'),
      paths.leases,
      paths.claims,
      paths.moves,
      paths.answers,
    ]) {
      await mkdir(directory, { recursive: true });
    }
    this.#prepared = true;
    this.#wasThere = true;
  }

  /** A queue may be made where none has been yet; one that was there has only gone with its disk. */
  async #requireRoot(): Promise<void> {
    const { root } = this.paths;
    const found = await stat(root).catch(undefinedIfAbsent);
    const isDirectory = found?.isDirectory() === true;
    const names = isDirectory ? await readdir(root) : [];
    if (stages.some((stage) => names.includes(stage))) {
      this.#wasThere = true;
      return;
    }
    if (this.#create && !this.#wasThere) return;
    if (this.#wasThere) throw queueGone(root);
    throw isDirectory ? queueEmpty(root) : queueMissing(root);
  }
}
