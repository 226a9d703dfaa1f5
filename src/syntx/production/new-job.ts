import { localTimestamp } from '../queue/local-time.js';
import type { NewJob } from '../queue/add.js';
import type { SyntxQueue } from '../queue/syntx-queue.js';
import type { KeptPrompt, ProductionPlan, ProductionRun } from './production-run.js';

type PlannedPrompt = ProductionPlan['prompts'][number];

/** Keys in the order of the original (contract syntx 1.3); the real topic stands under Tower's own key. */
export function newJob(
  plan: ProductionPlan,
  prompt: Pick<KeptPrompt, 'index' | 'text' | 'metadata' | 'simulated'> & { readonly planned: PlannedPrompt },
  timeZone: string | undefined,
): NewJob {
  const { style, category, topic, reason } = prompt.planned;
  const time = new Date(plan.logicalTime);
  const at = localTimestamp(time, timeZone);
  const made = { topic, reason, run: plan.run, generation: plan.generation };
  const own = { ...made, ...(prompt.simulated && { prompt_simulated: true }) };
  return {
    ...{ id: `${plan.run}/${prompt.index}`, category, style, prompt: prompt.text, time, sequence: prompt.index },
    metadata: {
      ...{ topic: category, style, language: 'de', category },
      ...prompt.metadata,
      ...{ producer_run: at, created_at: at, tower: own },
    },
  };
}

/** How many prompts a run has kept that are not in the queue yet: a run may have been interrupted while it wrote them. */
export async function countUnwritten(
  queue: SyntxQueue,
  run: ProductionRun,
  timeZone: string | undefined,
): Promise<number> {
  const [plan, prompts] = [await run.plan(), await run.prompts()];
  let unwritten = 0;
  for (const prompt of prompts) {
    const planned = plan?.prompts[prompt.index];
    const isWritten =
      plan !== undefined &&
      planned !== undefined &&
      (await queue.added(newJob(plan, { ...prompt, planned }, timeZone)));
    if (isWritten !== true) unwritten += 1;
  }
  return unwritten;
}
