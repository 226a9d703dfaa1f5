import { lstat } from 'node:fs';

import { namesIn } from '../../files/absent.js';
import { WorkSlices } from '../../work-slices.js';
import { EvidenceCache } from './evidence-cache.js';
import { jobFacts } from './job-facts.js';
import { baseNameOf, byName, isMetadataFile, jobIdOf } from './job-name.js';
import { lessonOf, type Lesson, type ScoredJobRecord } from './lesson.js';
import { readMetadata } from './metadata.js';
import type { QueueStore } from './queue-store.js';
import { seenFile, type SeenFile } from './seen-file.js';

const readTogether = 32;
/** A look costs little, and most of it is the wait for the one before. */
const lookedAtTogether = 1024;
const places = ['processed', 'error', 'archive'] as const;

/**
 * Every scored job in `processed`, `error` and `archive`, each once, oldest score first. Jobs without a style, a category or a
 * score teach nothing and are left out; so are faults, also with the score of an earlier try in their metadata. What was read
 * before is not read again (see {@link EvidenceCache}); the result is the same.
 *
 * @throws the reason of `signal` after an abort
 */
export async function readScoredJobs(
  store: QueueStore,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<ScoredJobRecord[]> {
  return store.look(async () => {
    const slices = new WorkSlices(signal);
    const cache = await EvidenceCache.read(store, slices);
    const jobs = new Map<string, ScoredJobRecord>();
    const take = ({ place, baseName }: SeenFile, lesson: Lesson | null): void => {
      if (lesson === null) return;
      const record = { id: jobIdOf(baseName), baseName, place, ...lesson };
      const known = jobs.get(record.id);
      if (known === undefined || isNewer(record, known)) jobs.set(record.id, record);
    };
    for (const place of places) {
      const unread: SeenFile[] = [];
      const names = (await namesIn(store.paths.directory(place))).filter(isMetadataFile);
      for (let start = 0; start < names.length; start += lookedAtTogether) {
        const files = await lookAt(store, place, names.slice(start, start + lookedAtTogether));
        signal?.throwIfAborted();
        for (const file of files) {
          if (slices.isOver) await slices.next();
          const lesson = cache.lesson(file);
          if (lesson === undefined) unread.push(file);
          else take(file, lesson);
        }
      }
      for (let start = 0; start < unread.length; start += readTogether) {
        const read = unread
          .slice(start, start + readTogether)
          .map(async (file) => [file, await readOne(store, file)] as const);
        for (const [file, lesson] of await Promise.all(read)) {
          if (lesson === undefined) continue;
          cache.add(file, lesson);
          take(file, lesson);
        }
        signal?.throwIfAborted();
      }
    }
    await cache.save(slices);
    return [...jobs.values()].sort((a, b) => a.scoredAt - b.scoredAt || byName(a.id, b.id));
  });
}

/** Of two files of one job; of the same moment, the one that the archive does not have, and the one whose name is first. */
function isNewer(record: ScoredJobRecord, known: ScoredJobRecord): boolean {
  if (record.scoredAt !== known.scoredAt) return record.scoredAt > known.scoredAt;
  return record.place === known.place && byName(record.baseName, known.baseName) < 0;
}

/** Those of the files that are there. By callbacks: a promise for each of a hundred thousand files costs three times as much. */
async function lookAt(store: QueueStore, place: SeenFile['place'], names: readonly string[]): Promise<SeenFile[]> {
  const directory = store.paths.directory(place);
  const now = store.now();
  return new Promise((resolve, reject) => {
    const seen: SeenFile[] = [];
    let left = names.length;
    for (const name of names) {
      lstat(`${directory}/${name}`, (error, found) => {
        if (error === null) seen.push(seenFile({ place, baseName: baseNameOf(name) }, found, now));
        else if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') reject(error);
        left -= 1;
        if (left === 0) resolve(seen);
      });
    }
  });
}

/** @returns `null`: it teaches nothing; `undefined`: it cannot be read, or is gone. */
async function readOne(store: QueueStore, { place, baseName }: SeenFile): Promise<Lesson | null | undefined> {
  const found = await readMetadata(store.paths.metadata({ place, baseName }));
  if (found.state === 'absent') return undefined;
  if (found.state === 'broken') {
    store.log?.warn({ job: baseName, place, reason: found.fault }, 'a job that cannot be read teaches nothing');
    return undefined;
  }
  return lessonOf(jobFacts(baseName, found.metadata, store.timeZone));
}
