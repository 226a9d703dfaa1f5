import { constants, readFileSync } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { packageRoot } from '../../files/package-root.js';
import type { WorkSlices } from '../../work-slices.js';
import { cacheLine, mostCacheBytes, openCache, readCacheLines } from './evidence-lines.js';
import type { Lesson } from './lesson.js';
import type { QueueStore } from './queue-store.js';
import type { SeenFile } from './seen-file.js';
import { writeStaged } from './staged-write.js';

/** One write each, so that no other process that appends gets between the lines. */
const chunkCharacters = 128 * 1024;
const newline = Buffer.from('\n');
/** So many lines of files that are gone, beside as many as there are files, and the cache is written anew. */
const spareLines = 1000;
/** Of another version, or for another zone, and not written since: nobody uses it. A run of the producer writes almost always. */
const unusedMs = 7 * 24 * 3_600_000;

/**
 * What was read of the metadata of settled jobs, so that a hundred thousand of them are not read for every run of the producer. It
 * is never believed over the files: one whose size, times or inode differ is read again, and all are when the cache is missing.
 * Any number of processes may read and append; a damaged line is left out, and gone with the next change.
 */
export class EvidenceCache {
  readonly #store: QueueStore;
  readonly #path: string;
  readonly #known = new Map<string, CachedLesson>();
  readonly #added = new Map<string, CachedLesson>();
  #lines = 0;
  #confirmed = 0;
  #isDamaged = false;

  private constructor(store: QueueStore, path: string) {
    this.#store = store;
    this.#path = path;
  }

  static async read(store: QueueStore, slices: WorkSlices): Promise<EvidenceCache> {
    const cache = new EvidenceCache(store, store.paths.evidenceCache(evidenceCacheName(store.timeZone)));
    await cache.#read(slices);
    return cache;
  }

  /** @returns `undefined` when the file has to be read. */
  lesson(file: SeenFile): Lesson | null | undefined {
    const key = keyOf(file);
    const known = this.#known.get(key);
    if (known?.mark !== file.mark) return undefined;
    if (!known.isConfirmed) this.#confirmed += 1;
    known.isConfirmed = true;
    return known.lesson;
  }

  add(file: SeenFile, lesson: Lesson | null): void {
    if (!file.isYoung) this.#added.set(keyOf(file), { mark: file.mark, lesson, isConfirmed: true });
  }

  /** Keeps what was added. Whoever only looks may have no right to write here, so that a failure is none. */
  async save(slices: WorkSlices): Promise<void> {
    const isMostlyOld = this.#lines > 2 * this.#confirmed + spareLines;
    const isWhole = this.#lines > 0 && !isMostlyOld && !this.#isDamaged;
    if (this.#added.size === 0 && !isMostlyOld && !this.#isDamaged) return;
    try {
      if (isWhole && (await this.#append(slices))) return;
      await this.#rewrite(slices);
    } catch (error) {
      this.#store.warnOnce(
        { file: this.#path, err: error },
        'what was read of settled jobs could not be kept: every run reads all of them',
      );
    }
  }

  async #read(slices: WorkSlices): Promise<void> {
    for await (const line of readCacheLines(this.#path, slices)) {
      this.#lines += 1;
      if (line === undefined) this.#isDamaged = true;
      else this.#known.set(line.key, { mark: line.mark, lesson: line.lesson, isConfirmed: false });
    }
  }

  /** @returns whether it could be done: another user's file cannot be appended to, but replaced. */
  async #append(slices: WorkSlices): Promise<boolean> {
    const chunks = await chunksOf([this.#added], slices);
    await this.#requireSpace(chunks);
    const file = await openCache(this.#path, constants.O_WRONLY | constants.O_APPEND).catch(() => undefined);
    if (file === undefined) return false;
    try {
      // On a line of its own, whatever the last one looks like.
      for (const chunk of chunks) await file.appendFile(Buffer.concat([newline, chunk]));
    } finally {
      await file.close();
    }
    return true;
  }

  /** What another process appends meanwhile is lost, and read again. */
  async #rewrite(slices: WorkSlices): Promise<void> {
    const found = await lstat(this.#path).catch(undefinedIfAbsent);
    // Before a whole file is staged for nothing.
    if (found?.isDirectory() === true) throw new Error('there is a directory in its place');
    const chunks = await chunksOf([this.#known, this.#added], slices);
    if (chunks.length === 0 && found === undefined) return;
    await this.#requireSpace(chunks);
    await writeStaged(this.#store.paths.staging, this.#path, Buffer.concat(chunks));
    await this.#removeUnused();
  }

  /** Jobs need the rest of the disk more. */
  async #requireSpace(chunks: readonly Buffer[]): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (bytes > mostCacheBytes) throw new Error(`${bytes} bytes are too many`);
    if (!(await this.#store.hasSpaceFor(bytes))) throw new Error(`the disk has no room for ${bytes} bytes`);
  }

  async #removeUnused(): Promise<void> {
    const { own } = this.#store.paths;
    for (const name of (await namesIn(own)).filter((entry) => /^evidence-.*\.cache$/.test(entry))) {
      const path = join(own, name);
      const found = path === this.#path ? undefined : await lstat(path).catch(undefinedIfAbsent);
      if (found?.isDirectory() !== false) continue;
      if (this.#store.now().getTime() - found.mtimeMs > unusedMs) await rm(path, { force: true });
    }
  }
}

interface CachedLesson {
  readonly mark: string;
  /** `null`: it teaches nothing. */
  readonly lesson: Lesson | null;
  /** Its file is as it was. */
  isConfirmed: boolean;
}

function keyOf({ place, baseName }: SeenFile): string {
  return `${place}/${baseName}`;
}

/**
 * What is read of the same metadata depends on Tower's version and, for times without a zone, on the zone and on what this
 * Node.js knows of zones. Each has a cache of its own.
 */
function evidenceCacheName(timeZone: string | undefined): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const zone = timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const { icu = '', tz = '' } = process.versions;
  return [version, `icu${icu}`, `tz${tz}`, zone].join('-').replaceAll(/[^\w.+-]/g, '-');
}

async function chunksOf(parts: readonly ReadonlyMap<string, CachedLesson>[], slices: WorkSlices): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  let chunk = '';
  for (const part of parts) {
    for (const [key, { mark, lesson, isConfirmed }] of part) {
      if (!isConfirmed) continue;
      chunk += cacheLine({ key, mark, lesson }) ?? '';
      if (slices.isOver) await slices.next();
      if (chunk.length < chunkCharacters) continue;
      chunks.push(Buffer.from(chunk));
      chunk = '';
    }
  }
  return chunk === '' ? chunks : [...chunks, Buffer.from(chunk)];
}
