import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import type { ServiceOptions } from '../../service-options.js';
import type { SyntxLogs } from '../logs/syntx-logs.js';
import type { SyntxQueue } from '../queue/syntx-queue.js';

const hourMs = 3_600_000;

/** From which age on things are cleaned away, in milliseconds. */
export interface CleanAges {
  readonly temporaryMs: number;
  readonly brokenMs: number;
  readonly logMs: number;
}

/** The guide's. */
export const defaultCleanAges: CleanAges = { temporaryMs: 24 * hourMs, brokenMs: 24 * hourMs, logMs: 90 * 24 * hourMs };

export interface CleanRequest {
  readonly queue: SyntxQueue;
  readonly logs: SyntxLogs;
  /** Where `*.log` files grow old (`<cfg>/logs`). */
  readonly logDirectory: string;
  /** Names the run in `cleanup.log`. */
  readonly run: string;
  /** Reports what would be done, and does nothing. */
  readonly dryRun?: boolean;
  readonly ages?: Partial<CleanAges>;
  readonly now?: Date;
}

export interface CleanedFile {
  readonly kind: 'temporary' | 'broken' | 'log';
  readonly path: string;
  readonly ageHours: number;
  /** Where it has been moved; `null`: it was deleted. */
  readonly movedTo: string | null;
}

/**
 * Cleans up by the guide's three rules: old files in `.tmp` are deleted, old prompts without metadata are set aside in
 * `.broken`, `*.log` files of 90 days are deleted. Every file is reported, here and in `cleanup.log`.
 */
export async function cleanQueue(
  request: CleanRequest,
  { signal, log }: ServiceOptions,
): Promise<readonly CleanedFile[]> {
  const { queue, dryRun = false, now = new Date() } = request;
  const ages = { ...defaultCleanAges, ...request.ages };
  signal.throwIfAborted();
  const temporary = await queue.removeTemporary({ olderThanMs: ages.temporaryMs, dryRun });
  const broken = await queue.setAsideBroken({ olderThanMs: ages.brokenMs, dryRun });
  const cleaned = [
    ...temporary.map(({ path, ageMs }) => cleanedFile('temporary', path, ageMs)),
    ...broken.map(({ path, ageMs, movedTo }) => cleanedFile('broken', path, ageMs, movedTo)),
    ...(await removeOldLogs(request.logDirectory, { olderThanMs: ages.logMs, dryRun, now })),
  ];
  for (const file of cleaned) log.info({ ...file, dryRun }, dryRun ? 'would be cleaned away' : 'cleaned away');
  await request.logs.cleanup(request.run, cleaned.map(describe), dryRun);
  return cleaned;
}

async function removeOldLogs(
  directory: string,
  { olderThanMs, dryRun, now }: { readonly olderThanMs: number; readonly dryRun: boolean; readonly now: Date },
): Promise<CleanedFile[]> {
  const removed: CleanedFile[] = [];
  for (const name of (await namesIn(directory)).filter((entry) => entry.endsWith('.log')).sort()) {
    const path = join(directory, name);
    const found = await lstat(path).catch(undefinedIfAbsent);
    const ageMs = found?.isFile() === true ? now.getTime() - found.mtimeMs : 0;
    if (ageMs <= olderThanMs) continue;
    if (!dryRun) await rm(path, { force: true });
    removed.push(cleanedFile('log', path, ageMs));
  }
  return removed;
}

function cleanedFile(kind: CleanedFile['kind'], path: string, ageMs: number, movedTo?: string): CleanedFile {
  return { kind, path, ageHours: Math.floor(ageMs / hourMs), movedTo: movedTo ?? null };
}

function describe({ kind, path, ageHours, movedTo }: CleanedFile): string {
  const what = { temporary: 'temporary file', broken: 'prompt without metadata', log: 'old log' }[kind];
  return movedTo === null ? `🗑️ ${what} ${path} (${ageHours} h)` : `📦 ${what} ${path} (${ageHours} h) → ${movedTo}`;
}
