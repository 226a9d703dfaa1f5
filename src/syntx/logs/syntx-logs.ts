import { join } from 'node:path';

import { localMinute, localTimestamp } from '../queue/local-time.js';
import { jobIdOf } from '../queue/job-name.js';
import { appendEntry } from './append-entry.js';
import {
  cleanedLine,
  cleanupBlock,
  consumedJob,
  consumerEnd,
  consumerStart,
  processingLine,
  producerBlock,
  producerMark,
  runLine,
  skippedProducerBlock,
  type ConsumedJob,
  type ConsumerEnd,
  type ConsumerStart,
  type ProducerBlock,
} from './guide-blocks.js';
import {
  calibrationLine,
  costLine,
  generationLine,
  keyOf,
  progressLine,
  type CalibrationRecord,
  type CostRecord,
  type ProgressRecord,
} from './json-lines.js';

export interface SyntxLogOptions {
  /** Logs of the cron jobs (`<cfg>/logs`). */
  readonly cronDirectory: string;
  /** JSON lines of producer and consumer (`<wf-logs>`). */
  readonly dataDirectory: string;
  readonly timeZone?: string;
  readonly now?: () => Date;
}

const repeatedWithinMs = 30 * 60_000;

/** Log of a consumer by its wrapper; the guide knows two. */
const consumerLogs: Readonly<Record<string, string>> = {
  syntex_system: 'consumer_syntex_cron.log',
  sigma: 'consumer_sigma_cron.log',
};

/**
 * The logs of the original (contract syntx 3.7, 4.1, 6.1, 6.2, and the guide's blocks). Prompts and answers stand in
 * the JSON lines only, as in the original; the cron logs have none. Every entry is written once, however often its activity runs.
 */
export class SyntxLogs {
  readonly #options: SyntxLogOptions;

  constructor(options: SyntxLogOptions) {
    this.#options = options;
  }

  async calibration(record: CalibrationRecord): Promise<void> {
    await this.#data('syntex_calibrations.jsonl', calibrationLine(record, this.#now()), record.key);
  }

  async progress(record: ProgressRecord): Promise<void> {
    await this.#data('syntex_progress.jsonl', progressLine(record, this.#now()), record.key);
  }

  async cost(record: CostRecord): Promise<void> {
    await this.#data('costs.jsonl', costLine(record, this.#localNow()), record.key);
  }

  /** @param record keys of contract syntx 6.2, without the timestamp. */
  async generation(key: string, record: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#data('gpt_prompts.jsonl', generationLine({ key, record }, this.#localNow()), key);
  }

  async producerRun(run: string, block: ProducerBlock): Promise<void> {
    await appendEntry(this.#cron('producer_cron.log'), producerBlock(run, block), {
      unless: line(producerMark(run).join('\n')),
    });
  }

  /** @param kept prompts that the run has made, and that are not in the queue yet. */
  async producerSkipped(run: string, reason: string, kept = 0): Promise<void> {
    await appendEntry(this.#cron('producer_cron.log'), skippedProducerBlock(run, reason, kept), {
      unless: line(runLine(run)),
    });
  }

  async consumerStarted(run: string, start: ConsumerStart): Promise<void> {
    await appendEntry(this.#consumer(start.wrapper), consumerStart(run, start), { unless: line(runLine(run)) });
  }

  async consumedJob(
    { run, wrapper }: { readonly run: string; readonly wrapper: string },
    job: ConsumedJob,
  ): Promise<void> {
    const name = job.reason === null || job.score !== null ? job.baseName : withoutLastRetry(job.baseName);
    await appendEntry(this.#consumer(wrapper), consumedJob(name, job), {
      ...{ unless: line(processingLine(name)), since: line(runLine(run)) },
    });
  }

  async consumerEnded(
    { run, wrapper }: { readonly run: string; readonly wrapper: string },
    end: ConsumerEnd,
  ): Promise<void> {
    const entry = consumerEnd(end);
    await appendEntry(this.#consumer(wrapper), entry, { unless: entry, since: line(runLine(run)) });
  }

  /** @param lines what is cleaned away; a repeated run adds what its block does not have yet. */
  async cleanup(run: string, lines: readonly string[], dryRun = false): Promise<void> {
    const log = this.#cron('cleanup.log');
    const marker = line(runLine(run));
    if (await appendEntry(log, cleanupBlock(run, lines, dryRun), { unless: marker })) return;
    for (const text of lines) {
      const entry = cleanedLine(text);
      await appendEntry(log, entry, { unless: line(entry), since: marker });
    }
  }

  /** @param time of the firing, to the minute; a second line of the same minute is left out. */
  async monitor(time: Date, text: string): Promise<void> {
    const stamp = localMinute(time, this.#options.timeZone);
    // The hour that a clock set back has twice gets two lines.
    const writtenSince = Date.now() - repeatedWithinMs;
    await appendEntry(this.#cron('queue_status_hourly.log'), `${stamp} | ${text}`, {
      unless: `${stamp} | `,
      writtenSince,
    });
  }

  async #data(file: string, entry: string, key: string): Promise<void> {
    await appendEntry(join(this.#options.dataDirectory, file), entry, { unless: keyOf(key) });
  }

  #cron(file: string): string {
    return join(this.#options.cronDirectory, file);
  }

  #consumer(wrapper: string): string {
    return this.#cron(consumerLogs[wrapper] ?? `consumer_${wrapper.replaceAll(/[^\w-]/g, '_')}_cron.log`);
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date();
  }

  #localNow(): string {
    return localTimestamp(this.#now(), this.#options.timeZone);
  }
}

/** A whole line, so that no run is taken for another whose name begins like its own. */
function line(text: string): string {
  return `${text}\n`;
}

/** The name under which a job that got no score was processed. */
function withoutLastRetry(baseName: string): string {
  return baseName === jobIdOf(baseName) ? baseName : baseName.replace(/__retry\d+$/, '');
}
