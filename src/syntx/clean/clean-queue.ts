import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import type { ServiceOptions } from '../../service-options.js';
import type { SyntxLogs } from '../logs/syntx-logs.js';
import type { SyntxQueue } from '../queue/syntx-queue.js';
import { isMeant, type TidyOptions } from '../queue/tidy.js';
import { removeOldRuns } from './old-runs.js';

const hourMs = 3_600_000;

/** From which age on things are cleaned away, in milliseconds. */
export interface CleanAges {
  readonly temporaryMs: number;
  readonly brokenMs: number;
  readonly logMs: number;
  /** Of folders of producer runs that are published. */
  readonly runMs: number;
}

/** The guide's, and Tower's for its own. */
export const defaultCleanAges: CleanAges = {
  ...{ temporaryMs: 24 * hourMs, brokenMs: 24 * hourMs, logMs: 90 * 24 * hourMs, runMs: 30 * 24 * hourMs },
};

export interface CleanRequest {
  readonly queue: SyntxQueue;
  readonly logs: SyntxLogs;
  /** Where `*.log` files grow old (`<cfg>/logs`). */
  readonly logDirectory: string;
  /** Names the run in `cleanup.log`. */
  readonly run: string;
  /** Where the producer has a folder for each of its runs. */
  readonly runDirectory: string;
  /** Reports what would be done, and does nothing. */
  readonly dryRun?: boolean;
  readonly ages?: Partial<CleanAges>;
  readonly now?: Date;
}

export interface CleanedFile {
  readonly kind: 'temporary' | 'broken' | 'log' | 'run';
  readonly path: string;
  readonly ageHours: number;
  /** Where it has been moved; `null`: it was deleted. */
  readonly movedTo: string | null;
}

/**
 * Cleans up by the guide's three rules: old files in `.tmp` are deleted, old prompts without metadata are set aside in
 * `.broken`, `*.log` files of 90 days are deleted. The folders of producer runs, which are Tower's own, are deleted, too, when
 * everything of theirs has been in the queue for long. Every file is named in `cleanup.log` before it goes, so that a crash leaves
 * nothing unreported.
 */
export async function cleanQueue(
  request: CleanRequest,
  { signal, log }: ServiceOptions,
): Promise<readonly CleanedFile[]> {
  const { dryRun = false } = request;
  const found = await cleaned(request, { dryRun: true, signal });
  await request.logs.cleanup(request.run, found.map(describe), dryRun);
  if (dryRun) {
    for (const file of found) log.info({ ...file, dryRun }, 'would be cleaned away');
    return found;
  }
  // What has grown old, or has come, since it was looked for is not named yet.
  const gone = await cleaned(request, { dryRun: false, only: new Set(found.map(({ path }) => path)), signal });
  for (const file of gone) log.info(file, 'cleaned away');
  return gone;
}

/** Finds what is old enough, and without `dryRun` cleans it away. */
async function cleaned(
  request: CleanRequest,
  options: Omit<TidyOptions, 'olderThanMs'>,
): Promise<readonly CleanedFile[]> {
  const { queue, now = new Date() } = request;
  const ages = { ...defaultCleanAges, ...request.ages };
  const temporary = await queue.removeTemporary({ ...options, olderThanMs: ages.temporaryMs });
  const broken = await queue.setAsideBroken({ ...options, olderThanMs: ages.brokenMs });
  const runs = await removeOldRuns(request.runDirectory, { ...options, olderThanMs: ages.runMs, now });
  const logs = await removeOldLogs(request.logDirectory, { ...options, olderThanMs: ages.logMs, now });
  return [
    ...temporary.map(({ path, ageMs }) => cleanedFile('temporary', path, ageMs)),
    ...broken.map(({ path, ageMs, movedTo }) => cleanedFile('broken', path, ageMs, movedTo)),
    ...logs,
    ...runs.map(({ path, ageMs }) => cleanedFile('run', path, ageMs)),
  ];
}

async function removeOldLogs(directory: string, options: TidyOptions & { readonly now: Date }): Promise<CleanedFile[]> {
  const removed: CleanedFile[] = [];
  for (const name of (await namesIn(directory)).filter((entry) => entry.endsWith('.log')).sort()) {
    const path = join(directory, name);
    if (!isMeant(path, options)) continue;
    const found = await lstat(path).catch(undefinedIfAbsent);
    const ageMs = found?.isFile() === true ? options.now.getTime() - found.mtimeMs : 0;
    if (ageMs <= options.olderThanMs) continue;
    if (!options.dryRun) await rm(path, { force: true });
    removed.push(cleanedFile('log', path, ageMs));
  }
  return removed;
}

function cleanedFile(kind: CleanedFile['kind'], path: string, ageMs: number, movedTo?: string): CleanedFile {
  return { kind, path, ageHours: Math.floor(ageMs / hourMs), movedTo: movedTo ?? null };
}

function describe({ kind, path, ageHours, movedTo }: CleanedFile): string {
  const what = { temporary: 'temporary file', broken: 'prompt without metadata', log: 'old log', run: 'producer run' }[
    kind
  ];
  return movedTo === null ? `🗑️ ${what} ${path} (${ageHours} h)` : `📦 ${what} ${path} (${ageHours} h) → ${movedTo}`;
}
