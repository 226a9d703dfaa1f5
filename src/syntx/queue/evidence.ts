import { namesIn } from '../../files/absent.js';
import { jobFacts, type JobFacts } from './job-facts.js';
import { baseNameOf, byName, isMetadataFile } from './job-name.js';
import { readMetadata } from './metadata.js';
import type { QueueStore } from './queue-store.js';

/** A job with a score: what the learner learns from. */
export interface ScoredJobRecord {
  /** The job, whatever became of its name. */
  readonly id: string;
  /** Name of its files now. */
  readonly baseName: string;
  readonly place: 'processed' | 'error' | 'archive';
  readonly style: string;
  readonly category: string;
  readonly wrapper: string;
  /** 0 to 100. */
  readonly score: number;
  /** Milliseconds since 1970. */
  readonly scoredAt: number;
  readonly fieldCompleteness: number | null;
  readonly structureAdherence: number | null;
  readonly scorer: 'v1' | 'v2';
  readonly topic: string | null;
  readonly durationMs: number | null;
}

const readTogether = 32;

/**
 * Every scored job in `processed`, `error` and `archive`, each once, oldest score first. Jobs without a style, a category or a
 * score teach nothing and are left out; so are faults, whatever stands in their metadata.
 */
export async function readScoredJobs(store: QueueStore): Promise<ScoredJobRecord[]> {
  return store.look(async () => {
    const jobs = new Map<string, ScoredJobRecord>();
    // The archive last: of two files of one job the one that is there is newer only when it was scored later.
    for (const place of ['processed', 'error', 'archive'] as const) {
      const names = (await namesIn(store.paths.directory(place))).filter(isMetadataFile).map(baseNameOf).sort(byName);
      for (let start = 0; start < names.length; start += readTogether) {
        const records = names.slice(start, start + readTogether).map((baseName) => readOne(store, place, baseName));
        for (const record of await Promise.all(records)) {
          const known = record === undefined ? undefined : jobs.get(record.id);
          if (record !== undefined && (known?.scoredAt ?? -Infinity) < record.scoredAt) jobs.set(record.id, record);
        }
      }
    }
    return [...jobs.values()].sort((a, b) => a.scoredAt - b.scoredAt || byName(a.id, b.id));
  });
}

async function readOne(
  store: QueueStore,
  place: ScoredJobRecord['place'],
  baseName: string,
): Promise<ScoredJobRecord | undefined> {
  const found = await readMetadata(store.paths.metadata({ place, baseName }));
  if (found.state === 'absent') return undefined;
  if (found.state === 'broken') {
    store.log?.warn({ job: baseName, place, reason: found.fault }, 'a job that cannot be read teaches nothing');
    return undefined;
  }
  return scoredJob(jobFacts(baseName, found.metadata, store.timeZone), place, baseName);
}

function scoredJob(facts: JobFacts, place: ScoredJobRecord['place'], baseName: string): ScoredJobRecord | undefined {
  const { id, style, category, score, topic, durationMs } = facts;
  const scoredAt = facts.settledAt ?? facts.createdAt;
  if (style === null || category === null || score === null || scoredAt === null) return undefined;
  return {
    ...{ id, baseName, place, style, category, wrapper: facts.wrapper ?? 'unknown', score: score.total, scoredAt },
    ...{ fieldCompleteness: score.completeness, structureAdherence: score.structure, scorer: score.version },
    ...{ topic, durationMs },
  };
}
