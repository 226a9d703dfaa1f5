import { join } from 'node:path';

import { z } from 'zod';

import { namesIn } from '../../files/absent.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { MadePrompt } from '../../syntx/generation/prompt-result.js';

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
  simulated: z.boolean(),
});

export type ProductionOutcome = z.output<typeof outcomeSchema>;

const publishedSchema = z.object({ generation: z.int(), written: z.int(), archived: z.int() });

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
    await writeJsonDurable(join(this.#directory, 'plan.json'), planSchema.parse(plan));
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
    const file = join(this.#directory, 'prompts', `${String(index).padStart(4, '0')}.json`);
    await writeJsonDurable(file, promptSchema.parse({ index, text, metadata, paid, simulated }));
  }

  async outcome(): Promise<ProductionOutcome | undefined> {
    return readJsonIfExists(join(this.#directory, 'outcome.json'), outcomeSchema);
  }

  async writeOutcome(outcome: ProductionOutcome): Promise<void> {
    await writeJsonDurable(join(this.#directory, 'outcome.json'), outcomeSchema.parse(outcome));
  }

  async published(): Promise<z.output<typeof publishedSchema> | undefined> {
    return readJsonIfExists(join(this.#directory, 'published.json'), publishedSchema);
  }

  async writePublished(published: z.output<typeof publishedSchema>): Promise<void> {
    await writeJsonDurable(join(this.#directory, 'published.json'), published);
  }
}

/** Runs that have paid for prompts which are not in the queue yet, oldest first. */
export async function unpublishedRuns(root: string): Promise<ProductionRun[]> {
  const runs = (await namesIn(root)).sort().map((name) => new ProductionRun(root, name));
  const open: ProductionRun[] = [];
  for (const run of runs) {
    if ((await run.published()) === undefined && (await run.prompts()).length > 0) open.push(run);
  }
  return open;
}
