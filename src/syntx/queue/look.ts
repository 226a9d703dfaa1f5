import { basename, dirname } from 'node:path';

import { namesIn } from '../../files/absent.js';
import { jobFacts, type JobFacts } from './job-facts.js';
import { baseNameOf, byName, isMetadataFile, isPromptFile } from './job-name.js';
import type { Lease } from './leases.js';
import { readMetadata, type Metadata } from './metadata.js';
import { places } from './name-holder.js';
import { isOverwritten } from './overwritten-prompt.js';
import { readPlainText } from './plain-file.js';
import type { Place, Spot } from './queue-paths.js';
import type { QueueStore } from './queue-store.js';

export interface PlaceCount {
  /** Jobs: prompts, and never their answers. */
  readonly jobs: number;
  /** Of these, without metadata beside them. */
  readonly withoutMetadata: number;
  /** Metadata without a prompt beside it: no job. */
  readonly withoutPrompt: number;
}

export type QueueCounts = Readonly<Record<Place, PlaceCount>>;

/** One line of a listing. */
export interface ListedJob extends JobFacts {
  readonly baseName: string;
  readonly place: Place;
  /** Who works on it, in `processing`. */
  readonly owner: Lease['owner'] | null;
  /** Why it cannot be read. */
  readonly fault: string | null;
}

/** Everything about one job. */
export interface ShownJob extends ListedJob {
  /** `null` where it is lost: consumers of December 2025 wrote the answer over it (contract syntx 1.2). */
  readonly prompt: string | null;
  readonly metadata: Metadata;
  readonly lease: Lease | null;
}

export async function countJobs(store: QueueStore): Promise<QueueCounts> {
  return store.look(async () => {
    const counted = await Promise.all(places.map(async (place) => [place, await countIn(store, place)] as const));
    return Object.fromEntries(counted) as Record<Place, PlaceCount>;
  });
}

/** Names of all jobs of a place, without a look into them; the oldest first in `incoming` and `processing`, the newest elsewhere. */
export async function listBaseNames(store: QueueStore, place: Place): Promise<string[]> {
  return store.look(() => baseNamesIn(store, place));
}

/** @param limit how many at most, oldest names first in `incoming` and `processing`, newest first elsewhere. */
export async function listJobs(store: QueueStore, place: Place, limit: number): Promise<ListedJob[]> {
  return store.look(async () => {
    const baseNames = (await baseNamesIn(store, place)).slice(0, limit);
    const listed: ListedJob[] = [];
    for (const baseName of baseNames) listed.push(await describe(store, { place, baseName }));
    return listed;
  });
}

/**
 * The jobs that a text names: a base name or one of its files, of the stage before it where `<stage>/` is given and has it; or else
 * every job whose name contains it.
 *
 * @param limit how many are looked up at most.
 */
export async function findJobs(store: QueueStore, text: string, limit = 20): Promise<ShownJob[]> {
  const named = basename(text);
  const stage = basename(dirname(text)).replace(/^\./, '');
  return store.look(async () => {
    const spots: Spot[] = [];
    for (const place of places) {
      for (const baseName of await baseNamesIn(store, place)) spots.push({ place, baseName });
    }
    const exact = spots.filter(({ baseName }) => baseName === baseNameOf(named));
    const choices = [exact.filter(({ place }) => place === stage), exact];
    const chosen = choices.find(({ length }) => length > 0) ?? spots.filter((spot) => spot.baseName.includes(named));
    return Promise.all(chosen.slice(0, limit).map((spot) => show(store, spot)));
  });
}

export async function showJob(store: QueueStore, spot: Spot): Promise<ShownJob> {
  return store.look(() => show(store, spot));
}

async function countIn({ paths }: QueueStore, place: Place): Promise<PlaceCount> {
  const names = await namesIn(paths.directory(place));
  const prompts = new Set(names.filter(isPromptFile).map(baseNameOf));
  const described = new Set(names.filter(isMetadataFile).map(baseNameOf));
  return {
    jobs: prompts.size,
    withoutMetadata: [...prompts].filter((baseName) => !described.has(baseName)).length,
    withoutPrompt: [...described].filter((baseName) => !prompts.has(baseName)).length,
  };
}

async function baseNamesIn({ paths }: QueueStore, place: Place): Promise<string[]> {
  const names = (await namesIn(paths.directory(place))).filter(isPromptFile).map(baseNameOf).sort(byName);
  return place === 'incoming' || place === 'processing' ? names : names.reverse();
}

async function describe(store: QueueStore, spot: Spot): Promise<ListedJob & { readonly metadata: Metadata }> {
  const found = await readMetadata(store.paths.metadata(spot));
  const metadata = found.state === 'read' ? found.metadata : {};
  const lease = spot.place === 'processing' ? await store.leases.of(spot.baseName) : undefined;
  const facts = jobFacts(spot.baseName, metadata, store.timeZone);
  const fault = found.state === 'broken' ? found.fault : found.state === 'absent' ? 'it has no metadata' : null;
  return { ...spot, ...facts, owner: lease?.owner ?? null, fault, metadata };
}

async function show(store: QueueStore, spot: Spot): Promise<ShownJob> {
  const { paths } = store;
  const described = await describe(store, spot);
  const text = await readPlainText(paths.prompt(spot));
  const file = await readPlainText(paths.response(spot));
  const lost = text === undefined || isOverwritten(described.metadata, { text, hasAnswerFile: file !== undefined });
  return {
    ...described,
    prompt: lost ? null : text,
    response: file ?? described.response ?? (lost ? (text ?? null) : null),
    lease: spot.place === 'processing' ? ((await store.leases.of(spot.baseName)) ?? null) : null,
  };
}
