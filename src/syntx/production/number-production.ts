import { z } from 'zod';

import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { SyntxFiles } from '../open-syntx.js';
import { requirePlan, type ProductionPlan, type ProductionRun } from './production-run.js';

const lastNumberSchema = z.object({ run: z.string(), generation: z.int().positive() });

/**
 * Gives a run's generation its number. It was planned with the next one, which another Tower on the same queue may have taken since:
 * under the queue's lock the next that is free becomes this run's own, once. Runs that explored keep theirs: they use none up
 * (contract syntx 2.6).
 *
 * @throws TowerError `PRODUCTION_UNKNOWN`
 */
export async function numberProduction(
  { queue, evolution }: Pick<SyntxFiles, 'queue' | 'evolution'>,
  run: ProductionRun,
): Promise<ProductionPlan> {
  return queue.alone(async () => {
    const plan = await requirePlan(run);
    if (plan.learnedFrom === null || plan.numbered === true) return plan;
    const file = queue.paths.lastGeneration;
    const last = await readJsonIfExists(file, lastNumberSchema);
    const isOwn = last?.run === plan.run;
    const free = Math.max(await evolution.nextGeneration(), (last?.generation ?? 0) + 1);
    const numbered = { ...plan, generation: isOwn ? last.generation : free, numbered: true };
    if (!isOwn) await writeJsonDurable(file, { run: plan.run, generation: free });
    await run.writePlan(numbered);
    return numbered;
  });
}
