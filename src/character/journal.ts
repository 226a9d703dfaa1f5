import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import type { z } from 'zod';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { namingFullDisk } from '../files/disk-full.js';
import { syncDirectory } from '../files/durable-write.js';
import { isOfOtherVersion, journalEventSchema } from './journal-events.js';

export type JournalEvent = z.output<typeof journalEventSchema>;
export type JournalEntry<Name extends JournalEvent['event']> = Extract<JournalEvent, { event: Name }>;

/** What a run's journal says at its end. */
export interface JournalState {
  /** Images of the dataset by index: accepted and not rejected since. */
  readonly accepted: ReadonlyMap<number, JournalEntry<'accepted'>>;
  /** In the order in which it happened. */
  readonly rejected: readonly JournalEntry<'rejected'>[];
  /** How often each image was rejected: the number of its next attempt. */
  readonly attempts: ReadonlyMap<number, number>;
  /** The same, without what came before a person last rejected the image: that is no fault, and gives new tries. */
  readonly faults: ReadonlyMap<number, number>;
  /** Images that a person rejected and that are not to be made again. */
  readonly dropped: ReadonlySet<number>;
  /** What was put right while rendering, by kind: how often, and the last of them. */
  readonly recoveries: ReadonlyMap<string, Recovered>;
  /** Of the first and the last event of an image, ISO 8601 UTC. */
  readonly firstAt: string | null;
  readonly lastAt: string | null;
}

interface Recovered {
  readonly count: number;
  readonly last: JournalEntry<'recovered'>;
}

export interface Journal<Event = JournalEvent> {
  /** Returns when the events are on disk. All of one call are written at once. */
  append(events: readonly Event[]): Promise<void>;
  /** After what is still being written. */
  close(): Promise<void>;
}

/** Opens a journal, a run's or one of other events, for appending; a line that a crash cut short is ended first. @throws TowerError `DISK_FULL` */
export async function openJournal<Event = JournalEvent>(path: string): Promise<Journal<Event>> {
  const isNew = (await stat(path).catch(undefinedIfAbsent)) === undefined;
  const file = await namingFullDisk(path, () => open(path, 'a+'));
  try {
    if (isNew) await syncDirectory(dirname(path));
    if (await endsInsideLine(file)) await namingFullDisk(path, () => file.appendFile('\n'));
  } catch (error) {
    await file.close();
    throw error;
  }
  let isTorn = false;
  const write = async (lines: string) => {
    const end = isTorn ? '\n' : '';
    // Until it is whole: what a full disk has cut short must not run into the next line.
    isTorn = true;
    // One write: lines of two writers never mix.
    await file.appendFile(end + lines);
    isTorn = false;
    await file.datasync();
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    append(events) {
      const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('');
      // In turn: whether a line was cut short is known when its write is over.
      const written = last.then(() => namingFullDisk(path, () => write(lines)));
      last = written.catch(() => undefined);
      return written;
    },
    close: () => last.then(() => file.close()),
  };
}

/**
 * Reads a journal; a missing one is empty. A line that is no JSON was cut short by a crash before it counted, and is left out;
 * so is an event that this version does not know.
 *
 * @throws TowerError `FILE_INVALID` when a whole line is not what Tower writes.
 */
export async function readJournal(path: string): Promise<JournalState> {
  const state = new GrowingState();
  if ((await stat(path).catch(undefinedIfAbsent)) === undefined) return state;
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    line += 1;
    const content = jsonOf(text);
    if (content === undefined || isOfOtherVersion(content)) continue;
    const event = journalEventSchema.safeParse(content);
    if (!event.success) {
      throw new TowerError('FILE_INVALID', `${basename(path)}, line ${line} is not what Tower writes there`, {
        cause: event.error,
        next: `Look at ${path}; move it away if it is damaged.`,
      });
    }
    state.take(event.data);
  }
  return state;
}

class GrowingState implements JournalState {
  readonly accepted = new Map<number, JournalEntry<'accepted'>>();
  readonly rejected: JournalEntry<'rejected'>[] = [];
  readonly attempts = new Map<number, number>();
  readonly faults = new Map<number, number>();
  readonly dropped = new Set<number>();
  readonly recoveries = new Map<string, Recovered>();
  firstAt: string | null = null;
  lastAt: string | null = null;

  take(event: JournalEvent): void {
    if (event.event === 'accepted' || event.event === 'rejected') {
      this.firstAt ??= event.at;
      this.lastAt = event.at;
    }
    switch (event.event) {
      case 'accepted':
        this.accepted.set(event.index, event);
        break;
      case 'rejected':
        this.#reject(event);
        break;
      case 'recovered':
        this.recoveries.set(event.kind, { count: (this.recoveries.get(event.kind)?.count ?? 0) + 1, last: event });
        break;
    }
  }

  #reject(event: JournalEntry<'rejected'>): void {
    const { index, attempt, code, again } = event;
    // Two attempts of one activity may both have rejected the same image.
    if ((this.attempts.get(index) ?? 0) > attempt) return;
    this.rejected.push(event);
    this.accepted.delete(index);
    this.attempts.set(index, attempt + 1);
    this.faults.set(index, code === 'person' ? 0 : (this.faults.get(index) ?? 0) + 1);
    if (!again && code === 'person') this.dropped.add(index);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

async function endsInsideLine(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] !== 0x0a;
}
