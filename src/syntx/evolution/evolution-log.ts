import { join } from 'node:path';

import type { Log } from '../../log/logger.js';
import { appendEntry } from '../logs/append-entry.js';
import { instantOf, localTimestamp } from '../queue/local-time.js';
import {
  evolutionLine,
  evolutionLineSchema,
  failedRunSchema,
  generationRecordSchema,
  type EvolutionLine,
  type FailedRun,
  type GenerationRecord,
} from './generation-record.js';
import { readLines, rotatedFiles } from './log-files.js';

export interface EvolutionLogOptions {
  /** `generator.logging.base_dir` of the original. */
  readonly directory: string;
  /** `evolution.logging.evolution_log` of the original: the name of a file. */
  readonly file: string;
  /** Of the local times. */
  readonly timeZone?: string;
  readonly log: Log;
}

/** One run in the history, whoever has written it. */
export interface PastGeneration {
  readonly generation: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** `null`: the run explored. */
  readonly learnedFrom: GenerationRecord['learnedFrom'];
  readonly promptsGenerated: number;
  /** Tower's own record; `null` for runs of the original. */
  readonly record: GenerationRecord | null;
}

const recordFile = 'generations.jsonl';
const failureFile = 'failed-runs.jsonl';

/**
 * `evolution.jsonl` in upstream form, one line for each run with learning, and beside it `generations.jsonl`, in which every run
 * stands with its prompts and the reasons why they were drawn. The generation number goes on from the highest in any of them,
 * rotated and packed ones included, so that a rotation does not set it back.
 */
export class EvolutionLog {
  readonly #options: EvolutionLogOptions;

  constructor(options: EvolutionLogOptions) {
    this.#options = options;
  }

  /** The number of the next run: runs that explored have not used theirs up (contract syntx 2.6). */
  async nextGeneration(): Promise<number> {
    const learned = (await this.history()).filter(({ learnedFrom }) => learnedFrom !== null);
    return 1 + learned.reduce((highest, { generation }) => Math.max(highest, generation), 0);
  }

  /**
   * Records a run. An activity that is repeated does not record it twice.
   *
   * @throws TowerError `DISK_FULL` (retryable)
   */
  async append(record: GenerationRecord): Promise<void> {
    const { directory, file, timeZone } = this.#options;
    const { learnedFrom } = record;
    // Two attempts at once may both find it missing.
    const unless = JSON.stringify(record.run);
    if (learnedFrom !== null && !(await this.#lines()).some(({ tower }) => tower?.run === record.run)) {
      const timestamp = localTimestamp(new Date(record.at), timeZone);
      await appendEntry(join(directory, file), evolutionLine({ ...record, learnedFrom }, timestamp), { unless });
    }
    if (!(await this.#records()).some(({ run }) => run === record.run)) {
      await appendEntry(join(directory, recordFile), JSON.stringify(generationRecordSchema.parse(record)), { unless });
    }
  }

  /**
   * Records that a run has failed, once. What it has paid for may be published by a later run all the same.
   *
   * @throws TowerError `DISK_FULL` (retryable)
   */
  async appendFailure(failed: FailedRun): Promise<void> {
    const { run } = failed;
    if ((await this.#failures()).some((known) => known.run === run)) return;
    const line = JSON.stringify(failedRunSchema.parse(failed));
    await appendEntry(join(this.#options.directory, failureFile), line, { unless: JSON.stringify(run) });
  }

  /**
   * Runs that have failed and left nothing, oldest first. What a run had paid for before it failed may be in the queue since:
   * then it stands in {@link history} with its prompts.
   */
  async failures(): Promise<FailedRun[]> {
    const recorded = new Set((await this.#records()).map(({ run }) => run));
    return (await this.#failures()).filter(({ run }) => !recorded.has(run));
  }

  /** How a run has failed, also when its prompts are in the queue since; `undefined` when it has not. */
  async failureOf(isMeant: (run: string) => boolean): Promise<FailedRun | undefined> {
    return (await this.#failures()).find(({ run }) => isMeant(run));
  }

  /** Every run that is known, oldest first; those that failed are in {@link failures}. */
  async history(): Promise<PastGeneration[]> {
    const records = await this.#records();
    const recorded = new Set(records.map(({ run }) => run));
    const own = records.map((record) => ({
      ...{ generation: record.generation, at: Date.parse(record.at), learnedFrom: record.learnedFrom, record },
      promptsGenerated: record.prompts.filter(({ job }) => job !== null).length,
    }));
    const others = (await this.#lines()).filter(({ tower }) => tower === undefined || !recorded.has(tower.run));
    return [...own, ...others.map((line) => this.#past(line))].sort(
      (a, b) => a.at - b.at || a.generation - b.generation,
    );
  }

  async #failures(): Promise<FailedRun[]> {
    const failed = await readLines(join(this.#options.directory, failureFile), failedRunSchema, this.#options.log);
    return failed.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  }

  async #records(): Promise<GenerationRecord[]> {
    return readLines(join(this.#options.directory, recordFile), generationRecordSchema, this.#options.log);
  }

  async #lines(): Promise<EvolutionLine[]> {
    const { directory, file, log } = this.#options;
    const files = await rotatedFiles(directory, file);
    const lines = await Promise.all(files.map((path) => readLines(path, evolutionLineSchema, log)));
    // A month that was packed while its days were still there has them again.
    return [...new Map(lines.flat().map((line) => [JSON.stringify(line), line])).values()];
  }

  #past(line: EvolutionLine): PastGeneration {
    const learned = line.learned_from;
    return {
      generation: line.generation,
      at: instantOf(line.timestamp, this.#options.timeZone) ?? 0,
      learnedFrom: {
        ...{ sampleCount: learned.sample_count, averageScore: learned.avg_score },
        averageFieldCompleteness: learned.avg_field_completeness,
        ...{ topCategories: learned.top_categories, topStyles: learned.top_styles },
      },
      promptsGenerated: line.prompts_generated,
      record: null,
    };
  }
}
