import type { SyntxConfig } from '../config/syntx-section.js';
import { TowerError } from '../errors.js';
import type { FailedRun, GenerationRecord } from '../syntx/evolution/generation-record.js';
import { cellTableInThread } from '../syntx/learning/cell-table-in-thread.js';
import type { CellTable } from '../syntx/learning/cell-table.js';
import { asEvidence, type SyntxFiles } from '../syntx/open-syntx.js';
import type { ScoredJobRecord } from '../syntx/queue/lesson.js';
import { instantOf, wallClock } from '../syntx/queue/local-time.js';
import { readCosts, readLevels, type Costs, type LevelSample } from './evolution-logs.js';

const dayMs = 24 * 3_600_000;
/** Days before the reported one that the trend goes back. */
const trendDays = 13;
const namedPrompts = 5;
/** Files of one job may be in several places while it is moved. */
const findAmong = 5;
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

/** A scored prompt with its answer. */
export interface ReportedPrompt {
  readonly job: string;
  readonly style: string;
  readonly category: string;
  readonly topic: string | null;
  readonly wrapper: string;
  readonly score: number;
  /** The service that answered said that it is simulated. */
  readonly simulated: boolean;
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
  /** Fewer or more waiting prompts are flagged by the monitor. */
  readonly incomingLimits: { readonly low: number; readonly high: number };
  readonly generations: readonly GenerationRecord[];
  readonly failedRuns: readonly FailedRun[];
  readonly best: readonly ReportedPrompt[];
  readonly worst: readonly ReportedPrompt[];
  /** Of the day. */
  readonly costs: Costs;
  /** Models without a price that were asked on the day: what they cost nobody knows. */
  readonly unpricedModels: readonly string[];
  readonly goodScore: number;
  /** Something of the day is simulated. */
  readonly simulated: boolean;
  /** The endpoint that made prompts of the day. */
  readonly simulatedPrompts: boolean;
  /** The service that answered. */
  readonly simulatedAnswers: boolean;
}

/** What a report is made from. */
export interface EvolutionSources {
  readonly files: SyntxFiles;
  readonly syntx: SyntxConfig;
}

/** @param day local, `YYYY-MM-DD`. @throws TowerError `USAGE` for another form of a day. */
export async function buildEvolutionReport({ files, syntx }: EvolutionSources, day: string): Promise<EvolutionReport> {
  const { timezone } = syntx;
  // At noon every day has the same date in all readings of its clock; the thirtieth of February is another day.
  const noon = /^\d{4}-\d{2}-\d{2}$/.test(day) ? instantOf(`${day}T12:00:00`, timezone) : undefined;
  if (noon === undefined || localDay(noon, timezone) !== day) {
    throw new TowerError('USAGE', `expected a day such as 2026-01-05, found ${JSON.stringify(day)}`);
  }
  const dayOf = (at: number) => localDay(at, timezone);
  const records = await files.queue.scoredJobs();
  const upToDay = records.filter(({ scoredAt }) => dayOf(scoredAt) <= day);
  const ofDay = upToDay.filter(({ scoredAt }) => dayOf(scoredAt) === day);
  const { goodScore } = syntx.learning;
  const { styles, topics } = syntx.generation;
  const isOfDay = (run: RecordedRun) => dayOf(recordedAt(run)) === day;
  const generations = (await generationsOf(files)).filter(isOfDay);
  const failedRuns = (await files.evolution.failures()).filter(isOfDay);
  const simulatedPrompts = generations.some(({ simulated }) => simulated);
  const simulatedAnswers = ofDay.some(({ simulated }) => simulated);
  const ranked = [...ofDay].sort((a, b) => b.score - a.score || a.scoredAt - b.scoredAt);
  const best = ranked.slice(0, namedPrompts);
  const worst = ranked.slice(namedPrompts).reverse().slice(0, namedPrompts);
  return {
    ...{ day, timezone: timezone ?? null, goodScore, generations, failedRuns },
    trend: trendOf(upToDay, { from: dayOf(noon - trendDays * dayMs), dayOf, goodScore }),
    byWrapper: wrappersOf(ofDay, goodScore),
    table: await cellTableInThread(asEvidence(upToDay), { styles, topics }, syntx.learning),
    // The hour at which the day ends belongs to it, too.
    levels: (await readLevels(files.logDirectory, timezone)).filter(
      ({ at }) => dayOf(at) === day || dayOf(at - 1) === day,
    ),
    best: await Promise.all(best.map((job) => reported(files, job))),
    worst: await Promise.all(worst.map((job) => reported(files, job))),
    incomingLimits: { low: syntx.monitor.incomingLow, high: syntx.monitor.incomingHigh },
    costs: await readCosts(files.dataLogDirectory, day),
    unpricedModels: [...new Set(generations.filter(({ priced }) => priced === false).map(({ model }) => model))],
    ...{ simulated: simulatedPrompts || simulatedAnswers, simulatedPrompts, simulatedAnswers },
  };
}

/** Local days on which anything happened that their pages show. */
export async function eventfulDays({ files, syntx }: EvolutionSources): Promise<ReadonlySet<string>> {
  const { timezone } = syntx;
  const levels = await readLevels(files.logDirectory, timezone);
  const times = [
    ...(await files.queue.scoredJobs()).map(({ scoredAt }) => scoredAt),
    ...(await generationsOf(files)).map(recordedAt),
    ...(await files.evolution.failures()).map(recordedAt),
    ...levels.flatMap(({ at }) => [at - 1, at]),
  ];
  return new Set(times.map((at) => localDay(at, timezone)));
}

type RecordedRun = Pick<GenerationRecord, 'at' | 'recordedAt'>;

/** When a run has ended: one that ends after midnight belongs to the new day, the page of the old one is written by then. */
function recordedAt({ at, recordedAt: end = at }: RecordedRun): number {
  return Date.parse(end);
}

async function generationsOf({ evolution }: SyntxFiles): Promise<GenerationRecord[]> {
  return (await evolution.history()).flatMap(({ record }) => record ?? []);
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
  const { place, baseName } = job;
  const there = await queue.show({ place, baseName });
  // Archived, or tried anew, since it was read; the original archives the prompt before its metadata.
  const found = there.fault === null && there.prompt !== null ? [] : await queue.find(baseName, findAmong);
  const shown = found.find(({ prompt }) => prompt !== null) ?? found[0] ?? there;
  const { style, category, topic, wrapper, score, simulated } = job;
  return {
    ...{ job: job.baseName, style, category, topic, wrapper, score, simulated },
    ...{ prompt: shown.prompt, answer: shown.response ?? there.response },
  };
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
