import { createHash } from 'node:crypto';

import type { ServiceOptions } from '../../service-options.js';
import { promptsToMake } from '../generation/queue-fill.js';
import { countUnwritten } from './new-job.js';
import type { Producer } from './producer.js';
import { ProductionRun } from './production-run.js';
import type { ProductionChoice, ProductionRequest } from './records.js';
import { unpublishedRuns } from './unpublished-runs.js';

/** How many prompts are made, by how many wait; what an interrupted run has paid for counts as waiting. */
export async function decideProduction(
  { files, settings, runs, instance }: Producer,
  { logicalTime, count, force }: ProductionRequest,
  options: Pick<ServiceOptions, 'log'>,
): Promise<ProductionChoice> {
  const { queue, logs } = files;
  const run = runName(logicalTime, instance);
  const open = (await unpublishedRuns(runs, options)).filter(({ name }) => name !== run);
  const { incoming } = await queue.counts();
  let kept = 0;
  for (const one of open) kept += await countUnwritten(queue, one, settings.timezone);
  const waiting = incoming.jobs + kept;
  const { count: usual, fillRule: rule } = settings.generation;
  // A run that goes on has decided before: its own prompts must not count against it.
  const begun = await new ProductionRun(runs, run).plan();
  const decided = promptsToMake({ waiting, asked: count ?? usual, rule, force });
  const decision = begun === undefined ? decided : { make: begun.prompts.length, reason: `goes on with ${run}` };
  if (decision.make === 0) await logs.producerSkipped(run, decision.reason);
  return {
    ...{ run, make: decision.make, waiting, reason: decision.reason },
    ...{ leftovers: open.map(({ name }) => name), kept },
  };
}

/**
 * `produce-20260105T040000000Z-3f2a`: the logical time names the run, so that a repeated firing is the same run. Another Tower's of
 * the same minute is another one: neither may take the other's prompts for its own.
 */
function runName(logicalTime: string, instance: string): string {
  const mark = createHash('sha256').update(instance).digest('hex').slice(0, 4);
  return `produce-${new Date(logicalTime).toISOString().replaceAll(/[-:.]/g, '')}-${mark}`;
}
