import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface OriginalMetadata {
  readonly filename?: string;
  readonly topic?: string;
  readonly style?: string;
  readonly category?: string;
  readonly language?: string;
  readonly gpt_quality?: unknown;
  readonly gpt_cost?: { readonly total_cost?: number };
  readonly processed_at?: string;
  readonly syntex_result?: {
    readonly wrapper?: string;
    readonly duration_ms?: number;
    readonly response_text?: string;
    readonly quality_score?: {
      readonly total_score: number;
      readonly detail_breakdown: Record<string, boolean>;
    } | null;
  };
}

/** An item of the training export (contract syntx 6.4). */
export interface ExportedJob {
  readonly id: string;
  readonly prompt: { readonly text: string; readonly topic: string; readonly style: string };
  readonly response: { readonly text: string; readonly wrapper: string; readonly duration_ms: number };
  readonly quality: {
    readonly total_score: number;
    readonly fields_fulfilled: readonly string[];
    readonly fields_missing: readonly string[];
  };
}

/**
 * What programs of the original read from a queue directory, and do to it (contract syntx 1.5, 2.3, 2.6, 3.3, 4.1, 4.2, 5.8, 6.3,
 * 6.4), written from the contract and not from Tower's code.
 */
export class OriginalPrograms {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** The job that a consumer would claim next. */
  nextJob(): string | undefined {
    return this.#names('incoming', '.txt').find((name) => !name.endsWith('_response.txt'));
  }

  /** Claims the oldest job as a consumer does: the rename of the prompt is the claim, and a prompt that is gone is not its own. */
  claim(): string | undefined {
    const prompts = this.#names('incoming', '.txt').filter((name) => !name.endsWith('_response.txt'));
    for (const name of prompts) {
      try {
        this.#move('incoming', 'processing', name);
      } catch {
        continue;
      }
      const metadata = name.replace(/\.txt$/, '.json');
      if (existsSync(join(this.#root, 'incoming', metadata))) this.#move('incoming', 'processing', metadata);
      return name.slice(0, -'.txt'.length);
    }
    return undefined;
  }

  /** Ends a job that it has claimed as the original's consumer does, with a good score. */
  finish(baseName: string): void {
    const path = join(this.#root, 'processing', `${baseName}.json`);
    const metadata = JSON.parse(readFileSync(path, 'utf8')) as OriginalMetadata;
    const result = {
      quality_score: { total_score: 100, detail_breakdown: {} },
      wrapper: 'original',
      response_text: 'x',
    };
    const ended = { ...metadata, syntex_result: result, processed_at: '2026-01-05T04:00:00', status: 'success' };
    writeFileSync(path, JSON.stringify(ended, null, 2));
    for (const ending of ['.txt', '.json']) this.#move('processing', 'processed', `${baseName}${ending}`);
    writeFileSync(join(this.#root, 'processed', `${baseName}_response.txt`), 'x');
  }

  /** The live queue of the API counts metadata. */
  counts(): Record<string, number> {
    const stages = ['incoming', 'processing', 'processed', 'error', 'archive'];
    return Object.fromEntries(stages.map((stage) => [stage, this.#names(stage, '.json').length]));
  }

  /** What the learner keeps: jobs of `processed` with their prompts, best first, ties oldest first. */
  learned(minimumScore = 90): { readonly file: string; readonly score: number; readonly prompt: string }[] {
    return this.#processed()
      .map(({ name, metadata }) => ({ name, score: metadata.syntex_result?.quality_score?.total_score ?? 0 }))
      .filter(({ score }) => score >= minimumScore)
      .map(({ name, score }) => ({
        ...{ file: name.replace(/\.json$/, ''), score },
        prompt: this.#textIfThere('processed', name.replace(/\.json$/, '.txt')) ?? '',
      }))
      .sort((a, b) => b.score - a.score);
  }

  /** The API's table, newest first. */
  table(): Record<string, unknown>[] {
    return this.#processed()
      .map(({ metadata }) => {
        const fields = Object.values(metadata.syntex_result?.quality_score?.detail_breakdown ?? {});
        return {
          ...{ id: metadata.filename, timestamp: metadata.processed_at, topic: metadata.topic, style: metadata.style },
          ...{ category: metadata.category, wrapper: metadata.syntex_result?.wrapper },
          score: metadata.syntex_result?.quality_score?.total_score ?? 0,
          field_count: `${fields.filter(Boolean).length}/${fields.length}`,
        };
      })
      .sort((a, b) => String(b.timestamp).localeCompare(String(a.timestamp)));
  }

  /** Prompt and answer of a processed job. */
  fullText(baseName: string): { readonly prompt: string; readonly response: string } {
    const { syntex_result: result } = JSON.parse(this.#text('processed', `${baseName}.json`)) as OriginalMetadata;
    const response = this.#textIfThere('processed', `${baseName}_response.txt`) ?? result?.response_text;
    return { prompt: this.#text('processed', `${baseName}.txt`), response: response ?? '' };
  }

  /** The training export: every job of `processed` with a score of at least so much. */
  export(minimumScore = 0): ExportedJob[] {
    return this.#processed().flatMap(({ name, metadata }) => {
      const { syntex_result: result, filename = name.replace(/\.json$/, '.txt') } = metadata;
      const score = result?.quality_score?.total_score ?? 0;
      if (score < minimumScore) return [];
      const fields = Object.entries(result?.quality_score?.detail_breakdown ?? {});
      const baseName = name.replace(/\.json$/, '');
      const response = this.#textIfThere('processed', `${baseName}_response.txt`) ?? result?.response_text ?? '';
      return [
        {
          id: filename,
          prompt: {
            text: this.#textIfThere('processed', `${baseName}.txt`) ?? '',
            ...{ topic: metadata.topic ?? 'unknown', style: metadata.style ?? 'unknown' },
          },
          response: { text: response, wrapper: result?.wrapper ?? 'unknown', duration_ms: result?.duration_ms ?? 0 },
          quality: {
            total_score: score,
            fields_fulfilled: fields.filter(([, found]) => found).map(([field]) => field),
            fields_missing: fields.filter(([, found]) => !found).map(([field]) => field),
          },
        },
      ];
    });
  }

  /** `/prompts/costs/total`: of what lies in `processed`. */
  costs(): number {
    return this.#processed().reduce((sum, { metadata }) => sum + (metadata.gpt_cost?.total_cost ?? 0), 0);
  }

  /** Share of exactly 100 by topic. Throws for a job without a score, as the API does. */
  successByTopic(): Record<string, number> {
    const scores = new Map<string, number[]>();
    for (const { metadata } of this.#processed()) {
      const topic = metadata.topic ?? 'unknown';
      const { quality_score: score } = metadata.syntex_result ?? {};
      if (score === null) throw new Error("500: 'NoneType' object has no attribute 'get'");
      scores.set(topic, [...(scores.get(topic) ?? []), score?.total_score ?? 0]);
    }
    const share = (all: readonly number[]) => all.filter((score) => score === 100).length / all.length;
    return Object.fromEntries([...scores].map(([topic, all]) => [topic, share(all)]));
  }

  /** What the wrapper service's drift scoring takes of a processed job: the answer file and the fields of its format. */
  driftInput(baseName: string): { readonly answer: string; readonly fields: readonly string[] } {
    const metadata = JSON.parse(this.#text('processed', `${baseName}.json`)) as OriginalMetadata;
    const fields = Object.keys(metadata.syntex_result?.quality_score?.detail_breakdown ?? {});
    return { answer: this.#text('processed', `${baseName}_response.txt`), fields };
  }

  /** `queue_status.sh` counts texts, answers included. */
  statusScript(): Record<string, number> {
    const stages = ['incoming', 'processing', 'processed', 'error'];
    return Object.fromEntries(stages.map((stage) => [stage, this.#names(stage, '.txt').length]));
  }

  /** Topic and style as the API takes them out of a name. */
  partsOfName(name: string): { readonly topic: string | undefined; readonly style: string | undefined } {
    const [topic, style] = name.split('__topic_')[1]?.split('__style_') ?? [];
    return { topic, style };
  }

  /** The producer's number of its next run: the last line's, and one more. */
  nextGeneration(logs: string): number {
    const last = readFileSync(join(logs, 'evolution.jsonl'), 'utf8').trimEnd().split('\n').at(-1) ?? '';
    const { generation } = JSON.parse(last) as { readonly generation: number };
    return generation + 1;
  }

  /** `manual_retry.sh <substring>` */
  manualRetry(containing: string): void {
    for (const name of this.#names('error', '').filter((entry) => entry.includes(containing))) {
      this.#move('error', 'incoming', name);
    }
  }

  /** `queue_cleanup.sh`: whatever is being processed waits again. */
  cleanup(): void {
    for (const ending of ['.txt', '.json']) {
      for (const name of this.#names('processing', ending)) this.#move('processing', 'incoming', name);
    }
  }

  /** `queue_cleanup.sh`, too: what has lain in `processed` for more than seven days goes to `archive`, each file by its own age. */
  archiveOld(now: Date): void {
    for (const name of this.#names('processed', '').filter((entry) => /\.(txt|json)$/.test(entry))) {
      const ageMs = now.getTime() - statSync(join(this.#root, 'processed', name)).mtimeMs;
      // `find -mtime +7` counts whole days.
      if (Math.floor(ageMs / 86_400_000) > 7) this.#move('processed', 'archive', name);
    }
  }

  #processed(): { readonly name: string; readonly metadata: OriginalMetadata }[] {
    return this.#names('processed', '.json').map((name) => ({
      name,
      metadata: JSON.parse(this.#text('processed', name)) as OriginalMetadata,
    }));
  }

  #names(stage: string, ending: string): string[] {
    return readdirSync(join(this.#root, stage))
      .filter((name) => name.endsWith(ending) && name !== '.gitkeep')
      .sort();
  }

  #text(stage: string, name: string): string {
    return readFileSync(join(this.#root, stage, name), 'utf8');
  }

  #textIfThere(stage: string, name: string): string | undefined {
    return existsSync(join(this.#root, stage, name)) ? this.#text(stage, name) : undefined;
  }

  #move(from: string, to: string, name: string): void {
    renameSync(join(this.#root, from, name), join(this.#root, to, name));
  }
}
