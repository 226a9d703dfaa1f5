import { dirname, join, resolve } from 'node:path';

import type { Config } from '../config/schema.js';
import type { SyntxConfig } from '../config/syntx-section.js';
import { TowerError } from '../errors.js';
import type { Log } from '../log/logger.js';
import { EvolutionLog } from './evolution/evolution-log.js';
import type { MonitorLimits } from './monitor/observe-queue.js';
import { SyntxLogs } from './logs/syntx-logs.js';
import type { ScoredJob } from './learning/scored-job.js';
import type { ScoredJobRecord } from './queue/lesson.js';
import { openQueue, type SyntxQueue } from './queue/syntx-queue.js';

/** The queue directory and the logs beside it. */
export interface SyntxFiles {
  readonly queue: SyntxQueue;
  readonly logs: SyntxLogs;
  readonly evolution: EvolutionLog;
  /** Where `*.log` files grow old. */
  readonly logDirectory: string;
  /** Where the JSON lines of producer and consumers are. */
  readonly dataLogDirectory: string;
}

export interface OpenSyntxOptions {
  readonly config: Pick<Config, 'syntx'>;
  /** State directory of this Tower. */
  readonly home: string;
  /** Name of this machine: another one's state directory may have the same path. */
  readonly host: string;
  readonly log: Log;
}

/** @throws TowerError `SYNTX_NOT_CONFIGURED` */
export function openSyntx({ config: { syntx }, home, host, log }: OpenSyntxOptions): SyntxFiles {
  const root = queueDirectory(syntx);
  const beside = join(dirname(root), 'logs');
  const logDirectory = resolve(syntx.logDirectory ?? beside);
  const dataLogDirectory = resolve(syntx.dataLogDirectory ?? beside);
  const zone = syntx.timezone === undefined ? {} : { timeZone: syntx.timezone };
  return {
    queue: openQueue(root, { instance: `${host}:${home}`, create: syntx.createQueue, log, ...zone }),
    logs: new SyntxLogs({
      ...{ cronDirectory: logDirectory, dataDirectory: dataLogDirectory, ...zone },
    }),
    evolution: new EvolutionLog({ directory: logDirectory, file: syntx.evolutionLog, log, ...zone }),
    logDirectory,
    dataLogDirectory,
  };
}

/** @throws TowerError `SYNTX_NOT_CONFIGURED` */
export function queueDirectory({ queue }: SyntxConfig): string {
  if (queue !== undefined) return resolve(queue);
  throw new TowerError('SYNTX_NOT_CONFIGURED', 'syntx.queue is not set: there is no queue directory to work on', {
    next: 'Set syntx.queue to the queue directory of the SYNTX workflow; `tower config init` writes a file.',
  });
}

export function monitorLimits({ monitor }: SyntxConfig): MonitorLimits {
  const { incomingLow: low, incomingHigh: high, processedWithinHours, errorShare } = monitor;
  return { incoming: { low, high }, processedWithinHours, errorShare };
}

type Evidence = ScoredJob & Pick<ScoredJobRecord, 'simulated'>;

/** What is learned from. */
export async function scoredJobs(queue: SyntxQueue): Promise<Evidence[]> {
  return asEvidence(await queue.scoredJobs());
}

/** Scores of the other scorer are on another scale, so they count as another wrapper's. */
export function asEvidence(records: readonly ScoredJobRecord[]): Evidence[] {
  return records.map((record) =>
    record.scorer === 'v1' ? record : { ...record, wrapper: `${record.wrapper} (${record.scorer})` },
  );
}
