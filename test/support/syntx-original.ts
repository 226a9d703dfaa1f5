import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

interface OriginalMetadata {
  readonly filename?: string;
  readonly topic?: string;
  readonly style?: string;
  readonly category?: string;
  readonly processed_at?: string;
  readonly syntex_result?: {
    readonly wrapper?: string;
    readonly response_text?: string;
    readonly quality_score?: {
      readonly total_score: number;
      readonly detail_breakdown: Record<string, boolean>;
    } | null;
  };
}

/**
 * What programs of the original read from a queue directory, and do to it (contract syntx 1.5, 2.3, 3.3, 4.1, 4.2, 6.3), written
 * from the contract and not from Tower's code.
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

  /** The live queue of the API counts metadata. */
  counts(): Record<string, number> {
    const stages = ['incoming', 'processing', 'processed', 'error', 'archive'];
    return Object.fromEntries(stages.map((stage) => [stage, this.#names(stage, '.json').length]));
  }

  /** What the learner keeps: jobs of `processed` with their prompts, best first. */
  learned(minimumScore = 90): { readonly file: string; readonly score: number; readonly prompt: string }[] {
    return this.#processed()
      .map(({ name, metadata }) => ({
        file: name.replace(/\.json$/, ''),
        score: metadata.syntex_result?.quality_score?.total_score ?? 0,
        prompt: this.#text('processed', name.replace(/\.json$/, '.txt')),
      }))
      .filter(({ score }) => score >= minimumScore)
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
    const file = `${baseName}_response.txt`;
    const response = existsSync(join(this.#root, 'processed', file))
      ? this.#text('processed', file)
      : result?.response_text;
    return { prompt: this.#text('processed', `${baseName}.txt`), response: response ?? '' };
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

  #move(from: string, to: string, name: string): void {
    renameSync(join(this.#root, from, name), join(this.#root, to, name));
  }
}
