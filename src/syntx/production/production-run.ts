import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { describeError, TowerError } from '../../errors.js';
import { namesIn } from '../../files/absent.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { namingForbidden } from '../../files/forbidden.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { Log } from '../../log/logger.js';
import { readLines } from '../evolution/log-files.js';
import type { MadePrompt } from '../generation/prompt-result.js';
import { appendEntry } from '../logs/append-entry.js';

const reasonSchema = z.object({ kind: z.enum(['random', 'sampled', 'coverage', 'pattern']), text: z.string() });
const plannedSchema = z.object({ style: z.string(), category: z.string(), topic: z.string(), reason: reasonSchema });

const planSchema = z.object({
  version: z.literal(1),
  run: z.string(),
  /** ISO 8601 UTC; the jobs' names have it. */
  logicalTime: z.iso.datetime(),
  generation: z.int().positive(),
  policy: z.enum(['thompson', 'patterns', 'uniform']),
  seed: z.string(),
  feedbackStrength: z.number(),
  model: z.string(),
  prompts: z.array(plannedSchema),
  learnedFrom: z
    .object({
      sampleCount: z.number(),
      averageScore: z.number(),
      averageFieldCompleteness: z.number(),
      topCategories: z.array(z.string()),
      topStyles: z.array(z.string()),
    })
    .nullable(),
  /** Of the jobs that taught, those with a good score; missing in plans of older versions. */
  good: z.object({ minimumScore: z.number(), jobs: z.int(), averageScore: z.number().nullable() }).optional(),
  /** Whether the generation's number is this run's own by now. */
  numbered: z.boolean().optional(),
  /** Base names of jobs that taught and lay in `processed`. */
  toArchive: z.array(z.string()),
});

export type ProductionPlan = z.output<typeof planSchema>;

/** A prompt that was paid: what the queue's files need of it. */
const promptSchema = z.object({
  index: z.int().nonnegative(),
  text: z.string(),
  /** Keys of the generation (contract syntx 1.3). */
  metadata: z.record(z.string(), z.unknown()),
  paid: z.number(),
  simulated: z.boolean(),
});

export type KeptPrompt = z.output<typeof promptSchema>;

const outcomeSchema = z.object({
  failed: z.array(z.object({ index: z.int(), error: z.string() })),
  stopped: z.string().nullable(),
  paid: z.number(),
  /** Whether a price is set for the model; missing in outcomes of older versions. */
  priced: z.boolean().optional(),
  simulated: z.boolean(),
});

export type ProductionOutcome = z.output<typeof outcomeSchema>;

const publishedSchema = z.object({ generation: z.int(), written: z.int(), archived: z.int() });

/** More than the prompts of a run take. */
const trialBytes = 256 * 1024;

/** What one call has cost, in USD. */
const costSchema = z.object({ call: z.string(), paid: z.number() });

/** Folder of one run of the producer: its plan, and every prompt from the moment it is paid until it is in the queue. */
export class ProductionRun {
  readonly name: string;
  readonly #directory: string;

  constructor(root: string, name: string) {
    this.name = name;
    this.#directory = join(root, name);
  }

  async plan(): Promise<ProductionPlan | undefined> {
    return readJsonIfExists(join(this.#directory, 'plan.json'), planSchema);
  }

  async writePlan(plan: ProductionPlan): Promise<void> {
    await this.#write('plan.json', planSchema.parse(plan));
  }

  /** In the order of the plan. */
  async prompts(): Promise<KeptPrompt[]> {
    const directory = join(this.#directory, 'prompts');
    const names = (await namesIn(directory)).filter((name) => /^\d+\.json$/.test(name)).sort();
    const prompts = await Promise.all(names.map((name) => readJsonIfExists(join(directory, name), promptSchema)));
    return prompts.filter((prompt) => prompt !== undefined);
  }

  /** Keeps a prompt that was paid. */
  async keep(made: MadePrompt, metadata: Readonly<Record<string, unknown>>): Promise<void> {
    const { index, text, paid, simulated } = made;
    const file = join('prompts', `${String(index).padStart(4, '0')}.json`);
    await this.#write(file, promptSchema.parse({ index, text, metadata, paid, simulated }));
  }

  /**
   * Before prompts are paid for: an attempt that could not keep them would pay for some and lose them, and so would the next one.
   *
   * @throws TowerError `DISK_FULL` (retryable), `STATE_FORBIDDEN`
   */
  async requirePlace(): Promise<void> {
    const trial = join('prompts', '.trial');
    await this.#write(trial, ' '.repeat(trialBytes));
    await rm(join(this.#directory, trial), { force: true });
  }

  /** Notes what a call has cost, refusals included. */
  async noteCost(call: string, paid: number): Promise<void> {
    await appendEntry(join(this.#directory, 'costs.jsonl'), JSON.stringify({ call, paid }));
  }

  /** USD that all attempts have paid so far; of a call that was under way at a kill nobody knows. */
  async spent(log: Log): Promise<number> {
    const noted = await readLines(join(this.#directory, 'costs.jsonl'), costSchema, log);
    const sum = (amounts: readonly { readonly paid: number }[]) => amounts.reduce((total, { paid }) => total + paid, 0);
    // A prompt is kept before its call is noted: a kill in between leaves it the other way round.
    return Math.max(sum(noted), sum(await this.prompts()));
  }

  /** It only says why prompts are missing: a damaged one is as good as none. */
  async outcome(log: Log): Promise<ProductionOutcome | undefined> {
    return readJsonIfExists(join(this.#directory, 'outcome.json'), outcomeSchema).catch((error: unknown) => {
      if (!(error instanceof TowerError) || error.code !== 'FILE_INVALID') throw error;
      log.warn({ run: this.name, reason: describeError(error) }, 'the outcome of a run is damaged; it counts as none');
      return undefined;
    });
  }

  async writeOutcome(outcome: ProductionOutcome): Promise<void> {
    await this.#write('outcome.json', outcomeSchema.parse(outcome));
  }

  async published(): Promise<z.output<typeof publishedSchema> | undefined> {
    return readJsonIfExists(join(this.#directory, 'published.json'), publishedSchema);
  }

  /** The prompts are in the queue now; their copies go. */
  async writePublished(published: z.output<typeof publishedSchema>): Promise<void> {
    await this.#write('published.json', published);
    await rm(join(this.#directory, 'prompts'), { recursive: true, force: true });
  }

  async #write(name: string, value: unknown): Promise<void> {
    const path = join(this.#directory, name);
    await writeJsonDurable(path, value).catch(namingForbidden(path));
  }
}

/** @throws TowerError `PRODUCTION_UNKNOWN` */
export async function requirePlan(run: ProductionRun): Promise<ProductionPlan> {
  const plan = await run.plan();
  if (plan !== undefined) return plan;
  throw new TowerError('PRODUCTION_UNKNOWN', `the run ${run.name} has no plan`, {
    next: 'Start a new run; its folder under syntx/ in the state directory was removed.',
  });
}

/** Where the folders of the runs are, in the state directory. */
export function productionRuns(home: string): string {
  return join(home, 'syntx');
}

/** Styles and categories that are ahead. */
export function aheadOf({ learnedFrom }: ProductionPlan): string[] {
  return learnedFrom === null ? [] : [...learnedFrom.topStyles, ...learnedFrom.topCategories];
}
