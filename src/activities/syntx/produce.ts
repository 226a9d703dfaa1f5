import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { readOpenAiKey } from '../../config/secrets.js';
import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import type { Log } from '../../log/logger.js';
import type { ServiceOptions } from '../../service-options.js';
import { requireApiKey } from '../../syntx/generation/api-key.js';
import { generatePrompts, type GenerationProgress } from '../../syntx/generation/generate-prompts.js';
import { promptMetadata, type CallRecord } from '../../syntx/generation/prompt-result.js';
import { promptsToMake } from '../../syntx/generation/queue-fill.js';
import { drawPrompts } from '../../syntx/learning/policy.js';
import type { Cell } from '../../syntx/learning/scored-job.js';
import { scoredJobs, type SyntxFiles } from '../../syntx/open-syntx.js';
import { localTimestamp } from '../../syntx/queue/local-time.js';
import type {
  DrawRecord,
  GenerationCounts,
  ProductionDecision,
  ProductionReference,
  ProductionRequest,
  PublishRecord,
} from './interfaces.js';
import { ProductionRun, unpublishedRuns, type ProductionPlan } from './production-run.js';
import type { QueueAccess } from './queue-access.js';

/** So many waiting prompts are looked at: for the draw, and that new ones differ from them. */
const mostWaiting = 300;
/** So many answered prompts new ones must differ from, of each place. */
const mostAnswered = 100;

export interface ProducerTools {
  readonly access: QueueAccess;
  /** Where the folders of the runs are. */
  readonly runs: string;
  readonly heartbeatTimeoutMs: number;
  readonly log: Log;
}

/** How many prompts are made, by how many wait; what an interrupted run has paid for counts as waiting. */
export async function decideProduction(
  { access, runs, heartbeatTimeoutMs }: ProducerTools,
  { logicalTime, count, force }: ProductionRequest,
): Promise<ProductionDecision> {
  const { queue, logs } = access.files;
  const run = runName(logicalTime);
  const open = (await unpublishedRuns(runs)).filter(({ name }) => name !== run);
  const kept = await Promise.all(open.map(async (one) => (await one.prompts()).length));
  const { incoming } = await queue.counts();
  const waiting = incoming.jobs + kept.reduce((sum, prompts) => sum + prompts, 0);
  const { count: usual, fillRule: rule } = access.settings.generation;
  // A run that goes on has decided before: its own prompts must not count against it.
  const begun = await new ProductionRun(runs, run).plan();
  const decided = promptsToMake({ waiting, asked: count ?? usual, rule, force });
  const decision = begun === undefined ? decided : { make: begun.prompts.length, reason: `goes on with ${run}` };
  if (decision.make === 0) await logs.producerSkipped(run, decision.reason);
  return {
    ...{ run, make: decision.make, waiting, reason: decision.reason, heartbeatTimeoutMs },
    leftovers: open.map(({ name }) => name),
  };
}

/** Learns from every scored job, and fixes what is made in this run, and why. */
export async function planProduction(
  { access, runs }: ProducerTools,
  { run: name, make, logicalTime }: ProductionReference & { readonly make: number; readonly logicalTime: string },
): Promise<DrawRecord> {
  const run = new ProductionRun(runs, name);
  const begun = await run.plan();
  if (begun !== undefined) return drawRecord(begun);
  const { queue, evolution } = access.files;
  const { generation, learning } = access.settings;
  requireApiKey(generation, await readOpenAiKey(access.config, process.env));
  const jobs = await scoredJobs(queue);
  const seed = `${name} ${learning.policy}`;
  const { styles, topics } = generation;
  const drawn = drawPrompts(
    { jobs, pending: await pendingCells(access.files), landscape: { styles, topics }, count: make, seed },
    learning,
  );
  const taught = new Set(drawn.taught);
  const records = await queue.scoredJobs();
  const plan: ProductionPlan = {
    ...{ version: 1, run: name, logicalTime, generation: await evolution.nextGeneration() },
    ...{ policy: learning.policy, seed, feedbackStrength: generation.feedbackStrength, model: generation.model },
    prompts: drawn.prompts.map((prompt) => ({ ...prompt, reason: { ...prompt.reason } })),
    learnedFrom:
      drawn.learnedFrom === null
        ? null
        : {
            ...drawn.learnedFrom,
            topCategories: [...drawn.learnedFrom.topCategories],
            topStyles: [...drawn.learnedFrom.topStyles],
          },
    toArchive: records.filter(({ id, place }) => place === 'processed' && taught.has(id)).map((job) => job.baseName),
  };
  await run.writePlan(plan);
  return drawRecord(plan);
}

/** Makes what the plan asks for; what an earlier attempt has paid for is not made again. */
export async function generateProduction(
  { access, runs }: ProducerTools,
  { run: name }: ProductionReference,
  options: ServiceOptions<GenerationProgress>,
): Promise<GenerationCounts> {
  const run = new ProductionRun(runs, name);
  const plan = await requirePlan(run);
  const kept = await run.prompts();
  const summary = await generatePrompts(
    {
      ...{ plan: plan.prompts, learnedFrom: plan.learnedFrom, done: new Set(kept.map(({ index }) => index)) },
      recent: [
        ...kept.map(({ index, text }) => ({ name: `prompt ${index + 1} of this run`, text })),
        ...(await recentPrompts(access.files)),
      ],
      apiKey: await readOpenAiKey(access.config, process.env),
      options: access.settings.generation,
      onPrompt: (made) => run.keep(made, promptMetadata(made)),
      onCall: (call) => logCall(access.files, call),
    },
    options,
  );
  const all = await run.prompts();
  const outcome = {
    failed: summary.failed.map(({ index, error }) => ({ index, error })),
    stopped: summary.stopped,
    paid: summary.paid + kept.reduce((sum, prompt) => sum + prompt.paid, 0),
    simulated: all.some(({ simulated }) => simulated),
  };
  await run.writeOutcome(outcome);
  const { stopped, paid, simulated } = outcome;
  return { made: all.length, failed: outcome.failed.length, stopped, paid, simulated };
}

/** Writes what was made into the queue; only then the jobs that taught are archived, and the run is recorded. */
export async function publishProduction(
  { access, runs }: ProducerTools,
  { run: name }: ProductionReference,
  { onProgress, signal }: ServiceOptions<GenerationProgress>,
): Promise<PublishRecord> {
  const run = new ProductionRun(runs, name);
  const published = await run.published();
  if (published !== undefined) return published;
  const plan = await requirePlan(run);
  const [prompts, outcome] = [await run.prompts(), await run.outcome()];
  const { queue, evolution, logs } = access.files;
  const jobs = new Map<number, string>();
  for (const prompt of prompts) {
    signal.throwIfAborted();
    const planned = plan.prompts[prompt.index];
    if (planned === undefined) continue;
    const { baseName } = await queue.add(newJob(plan, { ...prompt, planned }, access.settings.timezone));
    jobs.set(prompt.index, baseName);
    onProgress?.({ made: jobs.size, failed: 0, total: prompts.length });
  }
  const { archived } = jobs.size === 0 ? { archived: [] } : await queue.archive(plan.toArchive);
  const errors = new Map(outcome?.failed.map(({ index, error }) => [index, error]));
  const errorOf = (index: number) =>
    jobs.has(index) ? null : (errors.get(index) ?? outcome?.stopped ?? 'the run was interrupted before it');
  await evolution.append({
    ...{ version: 1, run: name, at: plan.logicalTime, generation: plan.generation, policy: plan.policy },
    ...{ seed: plan.seed, learnedFrom: plan.learnedFrom, feedbackStrength: plan.feedbackStrength, model: plan.model },
    simulated: prompts.some(({ simulated }) => simulated),
    prompts: plan.prompts.map((prompt, index) => ({ ...prompt, job: jobs.get(index) ?? null, error: errorOf(index) })),
    paid: outcome?.paid ?? prompts.reduce((sum, { paid }) => sum + paid, 0),
  });
  await logs.producerRun(name, {
    generation: plan.generation,
    learnedFrom: plan.learnedFrom?.sampleCount ?? 0,
    minimumScore: plan.policy === 'patterns' ? access.settings.learning.goodScore : 0,
    averageScore: plan.learnedFrom?.averageScore ?? null,
    patterns: aheadOf(plan),
    prompts: plan.prompts.map(({ category, topic, style }, index) => ({
      ...{ category, topic, style, error: errorOf(index) },
    })),
    written: jobs.size,
  });
  const record = { generation: plan.generation, written: jobs.size, archived: archived.length };
  await run.writePublished(record);
  return record;
}

/** `produce-20260105T040000000Z`: the logical time names the run, so that a repeated firing is the same run. */
function runName(logicalTime: string): string {
  return `produce-${new Date(logicalTime).toISOString().replaceAll(/[-:.]/g, '')}`;
}

async function requirePlan(run: ProductionRun): Promise<ProductionPlan> {
  const plan = await run.plan();
  if (plan !== undefined) return plan;
  throw new TowerError('PRODUCTION_UNKNOWN', `the run ${run.name} has no plan`, {
    next: 'Start a new run; its folder under syntx/ in the state directory was removed.',
  });
}

function drawRecord(plan: ProductionPlan): DrawRecord {
  const { generation, prompts, policy, learnedFrom } = plan;
  return {
    ...{ generation, policy, prompts: prompts.length, learnedFrom: learnedFrom?.sampleCount ?? 0 },
    ...{ averageScore: learnedFrom?.averageScore ?? null, ahead: aheadOf(plan) },
  };
}

function aheadOf({ learnedFrom }: ProductionPlan): string[] {
  return learnedFrom === null ? [] : [...learnedFrom.topStyles, ...learnedFrom.topCategories];
}

/** Keys in the order of the original (contract syntx 1.3); the real topic stands under Tower's own key. */
function newJob(
  plan: ProductionPlan,
  prompt: Pick<KeptPromptOf, 'index' | 'text' | 'metadata'> & { readonly planned: ProductionPlan['prompts'][number] },
  timeZone: string | undefined,
) {
  const { style, category, topic, reason } = prompt.planned;
  const time = new Date(plan.logicalTime);
  const at = localTimestamp(time, timeZone);
  const own = { topic, reason, run: plan.run, generation: plan.generation };
  return {
    ...{ id: `${plan.run}/${prompt.index}`, category, style, prompt: prompt.text, time, sequence: prompt.index },
    metadata: {
      ...{ topic: category, style, language: 'de', category },
      ...prompt.metadata,
      ...{ producer_run: at, created_at: at, tower: own },
    },
  };
}

type KeptPromptOf = Awaited<ReturnType<ProductionRun['prompts']>>[number];

/** Drawn and not scored yet. */
async function pendingCells({ queue }: SyntxFiles): Promise<Cell[]> {
  const jobs = [...(await queue.list('processing', mostWaiting)), ...(await queue.list('incoming', mostWaiting))];
  return jobs.flatMap(({ style, category }) => (style === null || category === null ? [] : [{ style, category }]));
}

async function recentPrompts({ queue }: SyntxFiles): Promise<{ name: string; text: string }[]> {
  const places = [
    ['incoming', mostWaiting],
    ['processing', mostWaiting],
    ['processed', mostAnswered],
    ['error', mostAnswered],
    ['archive', mostAnswered],
  ] as const;
  const recent: { name: string; text: string }[] = [];
  for (const [place, most] of places) {
    for (const { baseName } of await queue.list(place, most)) {
      const text = await readFile(queue.paths.prompt({ place, baseName }), 'utf8').catch(undefinedIfAbsent);
      if (text !== undefined) recent.push({ name: baseName, text });
    }
  }
  return recent;
}

async function logCall({ logs }: SyntxFiles, { key, line, cost }: CallRecord): Promise<void> {
  await logs.generation(key, line);
  if (cost === null) return;
  await logs.cost({
    ...{ key, inputTokens: cost.input_tokens, outputTokens: cost.output_tokens, currency: cost.currency },
    ...{ inputCost: cost.input_cost, outputCost: cost.output_cost, totalCost: cost.total_cost },
  });
}

/** Of the state directory. */
export function productionRuns(home: string): string {
  return join(home, 'syntx');
}
