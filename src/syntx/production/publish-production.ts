import type { ServiceOptions } from '../../service-options.js';
import { hasPrice } from '../generation/gpt-cost.js';
import type { GenerationProgress } from '../generation/generate-prompts.js';
import { newJob } from './new-job.js';
import { numberProduction } from './number-production.js';
import type { Producer } from './producer.js';
import { aheadOf, ProductionRun } from './production-run.js';
import type { ProductionReference, PublishRecord } from './records.js';

const mostNamed = 20;

/** Writes what was made into the queue; only then the jobs that taught are archived, and the run is recorded. */
export async function publishProduction(
  { files, settings, runs }: Producer,
  { run: name }: ProductionReference,
  { onProgress, signal, log }: ServiceOptions<GenerationProgress>,
): Promise<PublishRecord> {
  const run = new ProductionRun(runs, name);
  const published = await run.published();
  if (published !== undefined) return published;
  const plan = await numberProduction(files, run);
  const [prompts, outcome] = [await run.prompts(), await run.outcome(log)];
  const { queue, evolution, logs } = files;
  const jobs = new Map<number, string>();
  for (const prompt of prompts) {
    signal.throwIfAborted();
    const planned = plan.prompts[prompt.index];
    if (planned === undefined) continue;
    const { baseName } = await queue.add(newJob(plan, { ...prompt, planned }, settings.timezone));
    jobs.set(prompt.index, baseName);
    onProgress?.({ made: jobs.size, failed: 0, total: prompts.length });
  }
  const { archived, skipped } = await queue.archive(jobs.size === 0 ? [] : plan.toArchive);
  if (skipped.length > 0) {
    const named = skipped.slice(0, mostNamed);
    log.warn({ run: name, count: skipped.length, skipped: named }, 'jobs that taught were not archived');
  }
  const errors = new Map(outcome?.failed.map(({ index, error }) => [index, error]));
  const errorOf = (index: number) =>
    jobs.has(index) ? null : (errors.get(index) ?? outcome?.stopped ?? 'the run was interrupted before it');
  await evolution.append({
    ...{ version: 1, run: name, at: plan.logicalTime, recordedAt: new Date().toISOString() },
    ...{ generation: plan.generation, policy: plan.policy },
    ...{ seed: plan.seed, learnedFrom: plan.learnedFrom, feedbackStrength: plan.feedbackStrength, model: plan.model },
    simulated: prompts.some(({ simulated }) => simulated),
    prompts: plan.prompts.map((prompt, index) => ({ ...prompt, job: jobs.get(index) ?? null, error: errorOf(index) })),
    paid: outcome?.paid ?? (await run.spent(log)),
    priced: outcome?.priced ?? hasPrice({ model: plan.model, prices: settings.generation.prices }),
  });
  await logs.producerRun(name, {
    ...{ generation: plan.generation, policy: plan.policy },
    learnedFrom: plan.learnedFrom?.sampleCount ?? 0,
    good: plan.good ?? { minimumScore: 0, jobs: plan.learnedFrom?.sampleCount ?? 0, averageScore: null },
    patterns: aheadOf(plan),
    prompts: plan.prompts.map(({ category, topic, style }, index) => ({
      ...{ category, topic, style, error: errorOf(index) },
    })),
    written: jobs.size,
  });
  // Another attempt may have come to this end meanwhile, and taken the prompts away while they were read here.
  const other = await run.published();
  if (other !== undefined) return other;
  const record = { generation: plan.generation, written: jobs.size, archived: archived.length };
  await run.writePublished(record);
  return record;
}
