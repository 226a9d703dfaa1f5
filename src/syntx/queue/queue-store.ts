import { randomUUID } from 'node:crypto';
import { mkdir, stat, statfs } from 'node:fs/promises';

import { syncDirectory } from '../../files/durable-write.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import type { Log } from '../../log/logger.js';
import { IncomingIndex } from './incoming-index.js';
import { Leases } from './leases.js';
import { finishMoves } from './move.js';
import { diskFull, onQueueFiles, queueMissing } from './queue-faults.js';
import { QueueLock } from './queue-lock.js';
import { QueuePaths, stages } from './queue-paths.js';
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
  #prepared = false;

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
   * @throws TowerError `QUEUE_MISSING`, `QUEUE_BUSY`, `DISK_FULL` (both retryable), `QUEUE_FORBIDDEN`, `QUEUE_SPLIT`
   */
  async change<Result>(work: () => Promise<Result>): Promise<Result> {
    return onQueueFiles(this.paths.root, async () => {
      await this.#prepare();
      return this.#lock.hold(async () => {
        await finishMoves(this.paths);
        return work();
      });
    });
  }

  /** Reads without the lock: what is just being moved may be seen at its old place or its new one. */
  async look<Result>(work: () => Promise<Result>): Promise<Result> {
    return onQueueFiles(this.paths.root, async () => {
      if (!this.#prepared && !this.#create) await this.#requireRoot();
      return work();
    });
  }

  /** Tells every process that serves this queue that `incoming` has a job that may be older than others. */
  async markReturned(baseName: string): Promise<void> {
    this.incoming.put(baseName);
    await writeStaged(this.paths.staging, this.paths.returnMark, randomUUID());
  }

  /** @throws TowerError `DISK_FULL` (retryable) when less than a few megabytes are left: what comes next could not be stored. */
  async requireSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(this.paths.root);
    if (bavail * bsize < neededBytes) throw diskFull(this.paths.root);
  }

  async sync(...directories: string[]): Promise<void> {
    for (const directory of new Set(directories)) await syncDirectory(directory);
  }

  close(): void {
    this.#lock.close();
  }

  async #prepare(): Promise<void> {
    if (this.#prepared) return;
    const { paths } = this;
    if (!this.#create) await this.#requireRoot();
    for (const stage of stages) await mkdir(paths.directory(stage), { recursive: true });
    for (const directory of [paths.staging, paths.directory('broken'), paths.leases, paths.moves, paths.answers]) {
      await mkdir(directory, { recursive: true });
    }
    this.#prepared = true;
  }

  async #requireRoot(): Promise<void> {
    const found = await stat(this.paths.root).catch(undefinedIfAbsent);
    if (found?.isDirectory() !== true) throw queueMissing(this.paths.root);
  }
}
