import { constants } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

import type { WorkSlices } from '../../work-slices.js';
import { lessonSchema, type Lesson } from './lesson.js';

export interface CacheLine {
  /** Of the file: its place and its base name. */
  readonly key: string;
  /** Of the file's state. */
  readonly mark: string;
  readonly lesson: Lesson | null;
}

/** Of a whole cache; half a million jobs need less. A larger one is not read, and none is written. */
export const mostCacheBytes = 256 * 2 ** 20;
const mostLineBytes = 64 * 1024;

/** A lesson in a fixed order: JSON with names would be twice as long, and take twice as long to read. */
type Values = readonly [
  ...[style: string, category: string, wrapper: string, score: number, scoredAt: number],
  ...[fieldCompleteness: number | null, structureAdherence: number | null, scorer: Lesson['scorer']],
  ...[topic: string | null, durationMs: number | null, simulated: boolean],
];
const valueCount = 11;

/**
 * A checksum, and what it is of.
 *
 * @returns `undefined` for a line that would be too long to be read again.
 */
export function cacheLine({ key, mark, lesson }: CacheLine): string | undefined {
  const text = JSON.stringify([key, mark, ...(lesson === null ? [] : valuesOf(lesson))]);
  return 3 * text.length > mostLineBytes ? undefined : `${checksum(text)} ${text}\n`;
}

/**
 * The lines in their order, `undefined` for one that is damaged. What is missing, cannot be read, is larger than
 * {@link mostCacheBytes} or no plain file has none: a pipe would never end, a link may lead anywhere.
 */
export async function* readCacheLines(path: string, slices: WorkSlices): AsyncGenerator<CacheLine | undefined> {
  const content = await readCache(path).catch(() => Buffer.alloc(0));
  for (let start = 0; start < content.length;) {
    const found = content.indexOf('\n', start);
    const end = found < 0 ? content.length : found;
    // Whoever appends begins a line of his own, which leaves empty ones.
    if (end > start) yield end - start > mostLineBytes ? undefined : parsed(content.toString('utf8', start, end));
    if (slices.isOver) await slices.next();
    start = end + 1;
  }
}

/** A cache that is there, to append to. @throws when it is no plain file, or cannot be opened. */
export async function openCache(path: string, flags: number): Promise<FileHandle> {
  if (!(await lstat(path)).isFile()) throw new Error(`${path} is no plain file`);
  const file = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is no plain file`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readCache(path: string): Promise<Buffer> {
  const file = await openCache(path, constants.O_RDONLY);
  try {
    const { size } = await file.stat();
    return size > mostCacheBytes ? Buffer.alloc(0) : await file.readFile();
  } finally {
    await file.close();
  }
}

function parsed(text: string): CacheLine | undefined {
  const json = text.slice(9);
  if (text[8] !== ' ' || text.slice(0, 8) !== checksum(json)) return undefined;
  const line = parsedJson(json);
  if (!Array.isArray(line)) return undefined;
  const [key, mark, ...values] = line as readonly unknown[];
  if (typeof key !== 'string' || typeof mark !== 'string') return undefined;
  if (values.length === 0) return { key, mark, lesson: null };
  if (values.length !== valueCount) return undefined;
  const lesson = lessonFrom(values as unknown as Values);
  return lessonSchema.safeParse(lesson).success ? { key, mark, lesson } : undefined;
}

function parsedJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function valuesOf(lesson: Lesson): Values {
  const { style, category, wrapper, score, scoredAt, fieldCompleteness, structureAdherence, scorer } = lesson;
  const { topic, durationMs, simulated } = lesson;
  return [
    ...([style, category, wrapper, score, scoredAt, fieldCompleteness, structureAdherence, scorer] as const),
    ...([topic, durationMs, simulated] as const),
  ];
}

function lessonFrom(values: Values): Lesson {
  const [style, category, wrapper, score, scoredAt, fieldCompleteness, structureAdherence, scorer] = values;
  const [topic, durationMs, simulated] = [values[8], values[9], values[10]];
  return {
    style,
    category,
    wrapper,
    score,
    scoredAt,
    fieldCompleteness,
    structureAdherence,
    scorer,
    topic,
    durationMs,
    simulated,
  };
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
