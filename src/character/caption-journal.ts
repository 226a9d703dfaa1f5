import { readFile } from 'node:fs/promises';

import { z } from 'zod';

import { openJournal, type Journal } from './journal.js';

const captionFields = {
  at: z.iso.datetime(),
  /** File name of the image. */
  image: z.string(),
  /** Of the caption's text. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The run that it was written for; an older Tower did not say. */
  run: z.string().optional(),
};

/** One line of a dataset's `tower-captions.jsonl`. */
const captionEventSchema = z.discriminatedUnion('event', [
  /** Tower wrote it. */
  z.object({ event: z.literal('captioned'), ...captionFields }),
  /** A person gave it in a review. */
  z.object({ event: z.literal('reviewed'), ...captionFields, by: z.string().nullish() }),
]);
export type CaptionEvent = z.output<typeof captionEventSchema>;

/** Opens a dataset's journal of captions for appending. @throws TowerError `DISK_FULL` */
export async function openCaptionJournal(path: string): Promise<Journal<CaptionEvent>> {
  return openJournal<CaptionEvent>(path);
}

/** Reads a journal of captions; a missing one is empty. A line that Tower has not written says nothing of Tower's captions. */
export async function readCaptionEvents(path: string): Promise<CaptionEvent[]> {
  const text = await readFile(path, 'utf8').catch(emptyIfNone);
  return text.split('\n').flatMap((line) => {
    const event = captionEventSchema.safeParse(jsonOf(line));
    return event.success ? [event.data] : [];
  });
}

/** A dataset may be anybody's, and have a folder of that name. */
function emptyIfNone(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT' || error.code === 'EISDIR') return '';
  throw error;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
