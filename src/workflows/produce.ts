import { isCancellation, log, patched, proxyActivities, rootCause } from '@temporalio/workflow';

import type { ProductionDecision, SyntxActivities } from '../activities/syntx/interfaces.js';
import { asCancellation, waitedFor } from './cancellation.js';
import { briefPolicy } from './policies.js';
import { inClosing } from './prompt-closing.js';
import { PromptDisplay } from './prompt-display.js';
import { checkPromptInput, logicalTimeOf, requirePromptId } from './prompt-input.js';
import { generationPolicy, promptWorkPolicy } from './prompt-policies.js';

export interface ProducePromptsInput {
  /** ISO 8601 with its zone; default: the start of this workflow (a run by hand). */
  readonly logicalTime?: string | undefined;
  /** Prompts to make; default: as configured. */
  readonly count?: number | undefined;
  /** Make them whatever waits. */
  readonly force?: boolean | undefined;
}

export interface ProducePromptsResult {
  readonly logicalTime: string;
  readonly run: string;
  readonly outcome: 'produced' | 'skipped';
  /** Why so many, or why none. */
  readonly reason: string;
  /** Prompts that waited before. */
  readonly waiting: number;
  readonly requested: number;
  readonly written: number;
  readonly failed: number;
  /** How its prompts were drawn; missing when none were, and in older histories. */
  readonly policy?: string;
  /** Scored jobs that were learned from; 0: the run explored. */
  readonly learnedFrom: number;
  readonly generation: number | null;
  readonly archived: number;
  /** Prompts of interrupted runs that are in the queue now. */
  readonly recovered: number;
  /** USD; 0 without a price. */
  readonly paid: number;
  /** Whether a price is set for the model; missing when nothing was made, and in older histories. */
  readonly priced?: boolean | undefined;
  readonly simulated: boolean;
}

const tower = proxyActivities<SyntxActivities>(briefPolicy);

/**
 * `producePrompts`: (too many waiting?) → learn → generate → write → archive what taught → record. One at a time: the workflow
 * id is fixed. What an interrupted run has paid for is in the queue before anything new is made.
 */
export async function producePrompts(input: ProducePromptsInput = {}): Promise<ProducePromptsResult> {
  requirePromptId('produce');
  checkPromptInput(input, { names: ['logicalTime', 'count', 'force'] });
  const { count, force = false } = input;
  const logicalTime = logicalTimeOf(input);
  const display = new PromptDisplay('Producer', logicalTime);
  display.stage('decide');
  let decision: ProductionDecision | undefined;
  try {
    decision = await tower.decideProduction({ logicalTime, count, force });
    const { run, make, reason } = decision;
    display.row('Prompts', reason);
    const recovered = await publishLeftovers(decision);
    const known = { logicalTime, run, reason, waiting: decision.waiting, requested: make, recovered };
    if (make === 0) {
      display.stage('done');
      const nothing = { written: 0, failed: 0, learnedFrom: 0, generation: null, archived: 0, paid: 0 };
      return { ...known, ...nothing, outcome: 'skipped', simulated: false };
    }
    return { ...known, ...(await produce({ ...decision, logicalTime }, display)), outcome: 'produced' };
  } catch (thrown) {
    const error = asCancellation(thrown);
    const isNoted = decision !== undefined || patched('undecided-runs-are-recorded');
    if (isNoted) await recordFailure({ run: decision?.run ?? undecidedRun(logicalTime), logicalTime, error });
    throw error;
  }
}

/** A run is named where it is decided; one that could not be has its time all the same. */
function undecidedRun(logicalTime: string): string {
  return `produce-${logicalTime.replaceAll(/[-:.]/g, '')}-undecided`;
}

async function recordFailure(failed: {
  readonly run: string;
  readonly logicalTime: string;
  readonly error: unknown;
}): Promise<void> {
  const { run, logicalTime, error } = failed;
  const why = isCancellation(error) ? 'cancelled on request' : (rootCause(error) ?? 'no reason given');
  try {
    await inClosing((last) => last.recordNoProduction({ run, reason: why.slice(0, 500), logicalTime }));
  } catch (notRecorded) {
    // Why the run has failed says more than why that could not be noted, often for the same reason.
    log.warn('a failed run is not in the history', { run, reason: rootCause(notRecorded) ?? null });
  }
}

/** @returns prompts that are in the queue only now: an interrupted run may have written some of its own before. */
async function publishLeftovers({ leftovers, kept, heartbeatTimeoutMs }: ProductionDecision): Promise<number> {
  const work = proxyActivities<SyntxActivities>(waitedFor(promptWorkPolicy(heartbeatTimeoutMs)));
  let written = 0;
  for (const run of leftovers) written += (await work.publishPrompts({ run })).written;
  return Math.min(written, kept ?? written);
}

/** Why the rule of the original draws fewer prompts than it is asked for. */
const eachTopicOnce = 'a run by the rule of the original has each topic once';

async function produce(
  decision: ProductionDecision & { readonly logicalTime: string },
  display: PromptDisplay,
): Promise<Omit<ProducePromptsResult, 'logicalTime' | 'run' | 'outcome' | 'waiting' | 'requested' | 'recovered'>> {
  const { run, make, logicalTime, heartbeatTimeoutMs } = decision;
  const work = proxyActivities<SyntxActivities>(waitedFor(promptWorkPolicy(heartbeatTimeoutMs)));
  display.stage('learn');
  const drawn = await work.drawPrompts({ run, make, logicalTime });
  const isShort = drawn.prompts < make;
  const reason = isShort ? `${decision.reason}; only ${drawn.prompts}: ${eachTopicOnce}` : decision.reason;
  display.row('Prompts', reason);
  const ahead = drawn.ahead.length === 0 ? '' : `; ahead: ${drawn.ahead.join(', ')}`;
  display.row('Generation', `${drawn.generation}, from ${drawn.learnedFrom} scored jobs (${drawn.policy})${ahead}`);

  display.stage('generate');
  const { generatePrompts } = proxyActivities<SyntxActivities>(waitedFor(generationPolicy(decision)));
  const made = await generatePrompts({ run });
  display.simulated('Endpoint', made.simulated);
  display.row('Made', `${made.made} of ${drawn.prompts}${made.stopped === null ? '' : `, then ${made.stopped}`}`);

  display.stage('write');
  const { written, archived, generation } = await work.publishPrompts({ run });
  const cost = made.priced === false && made.paid === 0 ? 'no price for this model' : `${made.paid.toFixed(4)} USD`;
  display.row('Written', `${written} to incoming, ${archived} archived, ${cost}`);
  display.stage('done');
  const { failed, paid, priced, simulated } = made;
  const { policy, learnedFrom } = drawn;
  return { reason, written, failed, policy, learnedFrom, generation, archived, paid, priced, simulated };
}
