import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Config } from '../config/schema.js';
import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import type { GenerationRecord } from '../syntx/evolution/generation-record.js';
import { cellTable, type CellTable } from '../syntx/learning/cell-table.js';
import { scoredJobs, type SyntxFiles } from '../syntx/open-syntx.js';
import type { ScoredJobRecord } from '../syntx/queue/evidence.js';
import { instantOf, wallClock } from '../syntx/queue/local-time.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Days before the reported one that the trend goes back. */
const trendDays = 13;
const namedPrompts = 5;
const normalQuantile = 1.96;

/** Scores of one local day. */
export interface DayScores {
  /** `2026-01-05`, local. */
  readonly day: string;
  readonly scores: number;
  readonly mean: number;
  /** 95 % confidence interval of the mean; `null` with a single score. */
  readonly low: number | null;
  readonly high: number | null;
  readonly good: number;
}

/** Queue levels at one hour, as the monitor's log has them. */
export interface LevelSample {
  /** `2026-01-05 14:00`, local. */
  readonly time: string;
  readonly at: number;
  readonly incoming: number;
  readonly processed: number;
  readonly error: number;
  readonly archive: number;
}

/** A scored prompt with its answer. */
export interface ReportedPrompt {
  readonly job: string;
  readonly style: string;
  readonly category: string;
  readonly topic: string | null;
  readonly wrapper: string;
  readonly score: number;
  readonly prompt: string | null;
  readonly answer: string | null;
}

/** What happened in the prompt evolution on one local day. */
export interface EvolutionReport {
  readonly day: string;
  readonly timezone: string | null;
  readonly trend: readonly DayScores[];
  readonly byWrapper: readonly {
    readonly wrapper: string;
    readonly scores: number;
    readonly mean: number;
    readonly good: number;
  }[];
  readonly table: CellTable;
  readonly levels: readonly LevelSample[];
  readonly generations: readonly GenerationRecord[];
  readonly best: readonly ReportedPrompt[];
  readonly worst: readonly ReportedPrompt[];
  /** USD of the day. */
  readonly paid: number;
  readonly goodScore: number;
  readonly simulated: boolean;
}

/** @param day local, `YYYY-MM-DD`. @throws TowerError `USAGE` for another form of a day. */
export async function buildEvolutionReport(
  { files, syntx }: { readonly files: SyntxFiles; readonly syntx: Config['syntx'] },
  day: string,
): Promise<EvolutionReport> {
  const { timezone } = syntx;
  const start = instantOf(`${day}T00:00:00`, timezone);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day) || start === undefined) {
    throw new TowerError('USAGE', `expected a day such as 2026-01-05, found ${JSON.stringify(day)}`);
  }
  const dayOf = (at: number) => localDay(at, timezone);
  const records = await files.queue.scoredJobs();
  const upToDay = records.filter(({ scoredAt }) => dayOf(scoredAt) <= day);
  const ofDay = upToDay.filter(({ scoredAt }) => dayOf(scoredAt) === day);
  const { goodScore } = syntx.learning;
  const { styles, topics } = syntx.generation;
  const known = new Set(upToDay.map(({ id }) => id));
  const jobs = (await scoredJobs(files.queue)).filter(({ id }) => known.has(id));
  const history = await files.evolution.history();
  const generations = history.flatMap(({ at, record }) => (record !== null && dayOf(at) === day ? [record] : []));
  const ranked = [...ofDay].sort((a, b) => b.score - a.score || a.scoredAt - b.scoredAt);
  const best = ranked.slice(0, namedPrompts);
  const worst = ranked.slice(namedPrompts).reverse().slice(0, namedPrompts);
  return {
    ...{ day, timezone: timezone ?? null, goodScore, generations },
    trend: trendOf(upToDay, { from: dayOf(start - trendDays * dayMs), dayOf, goodScore }),
    byWrapper: wrappersOf(ofDay, goodScore),
    table: cellTable(jobs, { styles, topics }, syntx.learning),
    levels: (await readLevels(files.logDirectory, timezone)).filter(
      ({ at }) => at >= start - dayMs && at <= start + dayMs + 2 * hourMs,
    ),
    best: await Promise.all(best.map((job) => reported(files, job))),
    worst: await Promise.all(worst.map((job) => reported(files, job))),
    paid: generations.reduce((sum, { paid }) => sum + paid, 0),
    simulated: generations.some(({ simulated }) => simulated),
  };
}

/** `2026-01-05` in the queue's zone. */
export function localDay(at: number, timezone: string | undefined): string {
  const { year, month, day } = wallClock(new Date(at), timezone);
  return `${year}-${month}-${day}`;
}

function trendOf(
  records: readonly ScoredJobRecord[],
  {
    from,
    dayOf,
    goodScore,
  }: { readonly from: string; readonly dayOf: (at: number) => string; readonly goodScore: number },
): DayScores[] {
  const days = new Map<string, number[]>();
  for (const { scoredAt, score } of records) {
    const day = dayOf(scoredAt);
    if (day >= from) days.set(day, [...(days.get(day) ?? []), score]);
  }
  return [...days]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([day, scores]) => {
      const mean = meanOf(scores);
      const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / Math.max(1, scores.length - 1);
      const reach = scores.length < 2 ? null : normalQuantile * Math.sqrt(variance / scores.length);
      return {
        ...{ day, scores: scores.length, mean, good: scores.filter((score) => score >= goodScore).length },
        low: reach === null ? null : Math.max(0, mean - reach),
        high: reach === null ? null : Math.min(100, mean + reach),
      };
    });
}

function wrappersOf(records: readonly ScoredJobRecord[], goodScore: number): EvolutionReport['byWrapper'] {
  const wrappers = [...new Set(records.map(({ wrapper }) => wrapper))].sort();
  return wrappers.map((wrapper) => {
    const scores = records.filter((record) => record.wrapper === wrapper).map(({ score }) => score);
    const good = scores.filter((score) => score >= goodScore).length;
    return { wrapper, scores: scores.length, mean: meanOf(scores), good };
  });
}

async function reported({ queue }: SyntxFiles, job: ScoredJobRecord): Promise<ReportedPrompt> {
  const [shown] = await queue.find(job.baseName, 1);
  const { style, category, topic, wrapper, score } = job;
  return {
    ...{ job: job.baseName, style, category, topic, wrapper, score },
    ...{ prompt: shown?.prompt ?? null, answer: shown?.response ?? null },
  };
}

const levelLine =
  /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}) \| Incoming: (\d+) *\| Processed: (\d+) *\| Error: (\d+) *\| Archive: (\d+)/;

async function readLevels(directory: string, timezone: string | undefined): Promise<LevelSample[]> {
  const text = (await readFile(join(directory, 'queue_status_hourly.log'), 'utf8').catch(undefinedIfAbsent)) ?? '';
  return text.split('\n').flatMap((line) => {
    const match = levelLine.exec(line);
    if (match === null) return [];
    const [, day = '', time = '', ...counts] = match;
    const at = instantOf(`${day}T${time}:00`, timezone);
    const [incoming = 0, processed = 0, error = 0, archive = 0] = counts.map(Number);
    return at === undefined ? [] : [{ time: `${day} ${time}`, at, incoming, processed, error, archive }];
  });
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
