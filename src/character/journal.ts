import type { z } from 'zod';

import type { journalEventSchema } from './journal-events.js';

export type JournalEvent = z.output<typeof journalEventSchema>;
export type JournalEntry<Name extends JournalEvent['event']> = Extract<JournalEvent, { event: Name }>;

/** What a run's journal says at its end. */
export interface JournalState {
  /** Images of the data set by index: accepted and not removed since. */
  readonly accepted: ReadonlyMap<number, JournalEntry<'accepted'>>;
  /** In the order in which it happened. */
  readonly rejected: readonly JournalEntry<'rejected'>[];
  /** How often each image was rejected, failed or removed: the number of its next attempt. */
  readonly attempts: ReadonlyMap<number, number>;
  /** Images that a person removed and that are not to be made again. */
  readonly dropped: ReadonlySet<number>;
  /** SHA-256 of every caption text that Tower wrote, by file name of the image. */
  readonly captions: ReadonlyMap<string, ReadonlySet<string>>;
  readonly firstAt: string | null;
  readonly lastAt: string | null;
}

export interface Journal {
  /** Returns when the events are on disk. All of one call are written at once. */
  append(events: readonly JournalEvent[]): Promise<void>;
  close(): Promise<void>;
}

/** Opens a run's journal for appending; a line that a crash cut short is ended first. @throws TowerError `DISK_FULL` */
export declare function openJournal(path: string): Promise<Journal>;

/** Reads a journal; a missing one is empty, a torn last line is left out. @throws TowerError `FILE_INVALID` */
export declare function readJournal(path: string): Promise<JournalState>;
