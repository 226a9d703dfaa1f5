import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { undefinedIfAbsent } from '../files/absent.js';
import { writeFileDurable, writeJsonDurable } from '../files/durable-write.js';
import { namingForbidden } from '../files/forbidden.js';
import { packageRoot } from '../files/package-root.js';
import { renderEvolutionReport } from './evolution-page.js';
import {
  buildEvolutionReport,
  eventfulDays,
  localDay,
  type EvolutionReport,
  type EvolutionSources,
} from './evolution-report.js';

const dayMs = 24 * 3_600_000;

/** A page, and the same as JSON beside it. */
export interface WrittenReport {
  readonly file: string;
  readonly jsonFile: string;
  readonly report: EvolutionReport;
}

/** Where the page of a local day lies, unless somebody wants it elsewhere. */
export function evolutionReportFile(home: string, day: string): string {
  return join(home, 'reports', `evolution-${day}.html`);
}

/** @param day local, `YYYY-MM-DD`. @throws TowerError `USAGE` for another form of a day; `STATE_FORBIDDEN`, `DISK_FULL`. */
export async function writeEvolutionReport(
  sources: EvolutionSources,
  { day, file }: { readonly day: string; readonly file: string },
): Promise<WrittenReport> {
  return writePage(await buildEvolutionReport(sources, day), file);
}

/** So many days back a page that is missing is made up for: Tower may have been off over some of them. */
const daysBack = 7;

/**
 * Writes the page of the latest of the last seven local days before `at` that something happened on, and that has no page, or only one
 * from the course of that day. One in all: the next call writes the next.
 *
 * @param home - State directory; pages lie in `reports/`.
 * @returns what was written; `null`: nothing.
 * @throws TowerError `STATE_FORBIDDEN`, `DISK_FULL` (retryable); of the queue
 */
export async function writeMissingReport(
  sources: EvolutionSources,
  { home, at }: { readonly home: string; readonly at: Date },
): Promise<WrittenReport | null> {
  const { timezone } = sources.syntx;
  const unwritten: string[] = [];
  let day = localDay(at.getTime(), timezone);
  for (let back = 1; back <= daysBack; back += 1) {
    day = dayBefore(day);
    if (!(await isWritten(evolutionReportFile(home, day), day, timezone))) unwritten.push(day);
  }
  if (unwritten.length === 0) return null;
  const eventful = await eventfulDays(sources);
  const latest = unwritten.find((one) => eventful.has(one));
  if (latest === undefined) return null;
  return writePage(await buildEvolutionReport(sources, latest), evolutionReportFile(home, latest));
}

/** A page that somebody has asked for in the course of the day is not the whole day's. */
async function isWritten(file: string, day: string, timezone: string | undefined): Promise<boolean> {
  const found = await stat(file).catch(undefinedIfAbsent);
  return found !== undefined && localDay(found.mtimeMs, timezone) > day;
}

/** By the calendar: a local day may have 23 or 25 hours. */
function dayBefore(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) - dayMs).toISOString().slice(0, 10);
}

async function writePage(report: EvolutionReport, file: string): Promise<WrittenReport> {
  const { version } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const jsonFile = `${file.replace(/\.html?$/, '')}.json`;
  await writeJsonDurable(jsonFile, report).catch(namingForbidden(jsonFile));
  // The page last: it is what tells that the day is done.
  await writeFileDurable(file, renderEvolutionReport(report, { towerVersion: version })).catch(namingForbidden(file));
  return { file, jsonFile, report };
}
