import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import { openQueue, type QueueOptions, type SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { scoreAnswer, type QualityScore } from '../../src/syntx/scores/quality-score.js';

export const stages = ['incoming', 'processing', 'processed', 'error', 'archive'] as const;
export type StageName = (typeof stages)[number];

export const goodAnswer = '### Driftkörperanalyse:\nA\n### Kalibrierung:\nB\n### Strömungsverhältnisse:\nC';
export const poorAnswer = '1. DRIFT: ein wenig.\n2. nichts\n3. nichts';
export const call = { durationMs: 36_454, sessionId: '519c9a2e', wrapper: 'syntex_system', workerId: 'cron_syntex' };
export const owner = { workflowId: 'consume-syntex', runId: 'run-1' };

/** The oldest waiting job, claimed for {@link owner}. */
export async function claimFrom(queue: SyntxQueue, number: number): Promise<ClaimedJob> {
  const job = await queue.claim({ owner, claim: String(number) });
  if (job === undefined) throw new Error('nothing waits');
  return job;
}

/** What an answer scores. */
export function scoreOf(answer: string): QualityScore {
  const scored = scoreAnswer(answer);
  if (scored === null) throw new Error('an answer without text has no score');
  return scored.score;
}

export function scored(answer: string, threshold = 90) {
  return { ...call, score: scoreOf(answer), response: answer, threshold };
}

/** A queue directory of a test, and what lies in it. */
export class QueueWorld {
  readonly root = mkdtempSync(join(tmpdir(), 'syntx-queue-'));
  readonly #open: SyntxQueue[] = [];

  /** A queue object of its own, as every process has one. */
  open(options: Partial<QueueOptions> = {}): SyntxQueue {
    const queue = openQueue(this.root, { instance: 'tower-1', timeZone: 'UTC', create: true, ...options });
    this.#open.push(queue);
    return queue;
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  /** Writes a job's files as the original's programs do. */
  async put(
    stage: StageName | '.broken',
    baseName: string,
    files: { prompt?: string; metadata?: unknown; response?: string } = {},
  ) {
    const { prompt = `Prompt of ${baseName}`, metadata = incomingMetadata(baseName), response } = files;
    await mkdir(this.path(stage), { recursive: true });
    await writeFile(this.path(stage, `${baseName}.txt`), prompt);
    const text = typeof metadata === 'string' ? metadata : JSON.stringify(metadata, null, 2);
    if (metadata !== null) await writeFile(this.path(stage, `${baseName}.json`), text);
    if (response !== undefined) await writeFile(this.path(stage, `${baseName}_response.txt`), response);
  }

  names(stage: string): string[] {
    try {
      return readdirSync(this.path(stage)).sort();
    } catch {
      return [];
    }
  }

  text(stage: string, name: string): string {
    return readFileSync(this.path(stage, name), 'utf8');
  }

  metadata(stage: string, baseName: string): Record<string, unknown> {
    return JSON.parse(this.text(stage, `${baseName}.json`)) as Record<string, unknown>;
  }

  /** What must hold at every time at rest: each job once, whole, and nothing of Tower's left over. */
  faults(): string[] {
    const seen = new Map<string, string>();
    const faults: string[] = [];
    for (const stage of stages) {
      const names = this.names(stage);
      for (const name of names.filter((entry) => entry.endsWith('.txt') && !entry.endsWith('_response.txt'))) {
        const baseName = name.slice(0, -'.txt'.length);
        const job = baseName.replace(/(__retry\d+)+$/, '');
        if (seen.has(job)) faults.push(`${job} is in ${seen.get(job) ?? ''} and in ${stage}`);
        seen.set(job, stage);
        if (!names.includes(`${baseName}.json`)) faults.push(`${stage}/${baseName} has no metadata`);
        else this.metadata(stage, baseName);
      }
      for (const name of names.filter((entry) => !entry.endsWith('.txt'))) {
        const isWhole = name.endsWith('.json') && names.includes(name.replace(/\.json$/, '.txt'));
        if (!isWhole) faults.push(`${stage}/${name} belongs to nothing`);
      }
    }
    for (const own of ['leases', 'claims', 'moves', 'answers']) {
      for (const name of this.names(join('.tower', own))) faults.push(`.tower/${own}/${name} is left over`);
    }
    return faults;
  }

  close(): void {
    for (const queue of this.#open) queue.close();
    rmSync(this.root, { recursive: true });
  }
}

/** The metadata of the evolutionary producer (contract syntx 1.3). */
export function incomingMetadata(baseName: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  const category = /__topic_(.*?)__style_/.exec(baseName)?.[1] ?? 'harmlos';
  const style = /__style_([a-z]+)/.exec(baseName)?.[1] ?? 'casual';
  return {
    ...{ topic: category, style, language: 'de', category },
    gpt_quality: { total_score: 7, max_score: 10, quality_rating: 'gut' },
    gpt_cost: { input_tokens: 180, output_tokens: 500, total_cost: 0.00545, currency: 'USD' },
    ...{ model: 'gpt-4o', duration_ms: 5000 },
    ...{ producer_run: '2026-01-05T04:00:10.464876', created_at: '2026-01-05T04:00:10.464884' },
    filename: `${baseName}.txt`,
    ...changes,
  };
}

/** Metadata of a job that was answered well, as the original's consumer leaves it. */
export function processedMetadata(name: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    ...incomingMetadata(name),
    syntex_result: {
      quality_score: {
        total_score: 100,
        field_completeness: 100,
        structure_adherence: 100,
        detail_breakdown: { stromung: true },
      },
      ...{ duration_ms: 36_454, session_id: '519c9a2e', wrapper: 'syntex_system', worker_id: 'cron_syntex' },
      response_text: goodAnswer,
    },
    ...{ processed_at: '2026-01-05T04:01:02.643493', status: 'success' },
    ...changes,
  };
}

/** Base name number `index` of a batch. */
export function baseName(index: number, category = 'harmlos', style = 'casual'): string {
  return `20260105_040010_${String(464_000 + index).padStart(6, '0')}__topic_${category}__style_${style}`;
}
