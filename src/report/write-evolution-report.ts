import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { SyntxConfig } from '../config/syntx-section.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { writeFileDurable, writeJsonDurable } from '../files/durable-write.js';
import { namingForbidden } from '../files/forbidden.js';
import { packageRoot } from '../files/package-root.js';
import type { SyntxFiles } from '../syntx/open-syntx.js';
import { renderEvolutionReport } from './evolution-page.js';
import { buildEvolutionReport, localDay, type EvolutionReport } from './evolution-report.js';

const dayMs = 24 * 3_600_000;

export interface ReportSources {
  readonly files: SyntxFiles;
  readonly syntx: SyntxConfig;
}

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
  sources: ReportSources,
  { day, file }: { readonly day: string; readonly file: string },
): Promise<WrittenReport> {
  return writePage(await buildEvolutionReport(sources, day), file);
}

/**
 * Writes the page of the local day before `at`, unless it was written after that day's end, or nothing happened on it.
 *
 * @param home - State directory; pages lie in `reports/`.
 * @returns what was written; `null`: nothing.
 * @throws TowerError `STATE_FORBIDDEN`, `DISK_FULL` (retryable); of the queue
 */
export async function writeReportOfDayBefore(
  sources: ReportSources,
  { home, at }: { readonly home: string; readonly at: Date },
): Promise<WrittenReport | null> {
  const { timezone } = sources.syntx;
  const today = localDay(at.getTime(), timezone);
  const day = dayBefore(today);
  const file = evolutionReportFile(home, day);
  // A page that somebody has asked for in the course of the day is not the whole day's.
  const written = await stat(file).catch(undefinedIfAbsent);
  if (written !== undefined && localDay(written.mtimeMs, timezone) > day) return null;
  const report = await buildEvolutionReport(sources, day);
  const { byWrapper, generations, failedRuns, levels } = report;
  const isEmpty = [byWrapper, generations, failedRuns, levels].every(({ length }) => length === 0);
  return isEmpty ? null : writePage(report, file);
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
