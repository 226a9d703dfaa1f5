import type { ServiceOptions } from '../../service-options.js';
import { requireApiKey } from '../generation/api-key.js';
import { drawInThread } from '../learning/draw-in-thread.js';
import type { Cell, Landscape } from '../learning/scored-job.js';
import { asEvidence, type SyntxFiles } from '../open-syntx.js';
import { namePart, partsOf } from '../queue/job-name.js';
import type { Producer } from './producer.js';
import { aheadOf, ProductionRun, type ProductionPlan } from './production-run.js';
import type { DrawRecord, ProductionReference } from './records.js';

/** Learns from every scored job, and fixes what is made in this run, and why. */
export async function planProduction(
  { files, settings, runs, readApiKey }: Producer,
  { run: name, make, logicalTime }: ProductionReference & { readonly make: number; readonly logicalTime: string },
  options: Pick<ServiceOptions, 'signal'>,
): Promise<DrawRecord> {
  const run = new ProductionRun(runs, name);
  const begun = await run.plan();
  if (begun !== undefined) return drawRecord(begun);
  const { queue, evolution } = files;
  const { generation, learning } = settings;
  requireApiKey(generation, await readApiKey());
  const records = await queue.scoredJobs(options);
  const seed = `${name} ${learning.policy}`;
  const landscape = { styles: generation.styles, topics: generation.topics };
  const drawn = await drawInThread(
    {
      ...{ jobs: asEvidence(records), pending: await pendingCells(files, landscape) },
      ...{ landscape, count: make, seed },
    },
    learning,
    options,
  );
  const taught = new Set(drawn.taught);
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
    good: goodOf(
      records.filter(({ id }) => taught.has(id)).map(({ score }) => score),
      learning.goodScore,
    ),
    toArchive: records.filter(({ id, place }) => place === 'processed' && taught.has(id)).map((job) => job.baseName),
  };
  await run.writePlan(plan);
  return drawRecord(plan);
}

function goodOf(scores: readonly number[], minimumScore: number): ProductionPlan['good'] {
  const good = scores.filter((score) => score >= minimumScore);
  const averageScore = good.length === 0 ? null : good.reduce((sum, score) => sum + score, 0) / good.length;
  return { minimumScore, jobs: good.length, averageScore };
}

function drawRecord(plan: ProductionPlan): DrawRecord {
  const { generation, prompts, policy, learnedFrom } = plan;
  return {
    ...{ generation, policy, prompts: prompts.length, learnedFrom: learnedFrom?.sampleCount ?? 0 },
    ...{ averageScore: learnedFrom?.averageScore ?? null, ahead: aheadOf(plan) },
  };
}

/** Drawn and not scored yet: the cells that the names of the files have, whose parts are shortened and cleaned. */
async function pendingCells({ queue }: SyntxFiles, { styles, topics }: Landscape): Promise<Cell[]> {
  const names = [...(await queue.baseNames('processing')), ...(await queue.baseNames('incoming'))];
  return names.flatMap((name) => {
    const parts = partsOf(name);
    if (parts === undefined) return [];
    return [{ style: meant(parts.style, styles), category: meant(parts.subject, Object.keys(topics)) }];
  });
}

/** The style or category that a name has; the part itself where none is that is set. */
function meant(part: string, names: readonly string[]): string {
  return names.find((name) => name === part) ?? names.find((name) => namePart(name) === part) ?? part;
}
