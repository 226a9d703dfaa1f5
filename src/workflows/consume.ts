import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  patched,
  proxyActivities,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';

import type {
  ConsumerPlan,
  ConsumerReference,
  PromptOutcome,
  PromptReference,
  SyntxActivities,
} from '../activities/syntx/interfaces.js';
import { asCancellation, waitedFor } from './cancellation.js';
import { briefPolicy } from './policies.js';
import { inClosing } from './prompt-closing.js';
import { PromptDisplay } from './prompt-display.js';
import { checkPromptInput, logicalTimeOf, requirePromptId } from './prompt-input.js';
import { calibrationPolicy } from './prompt-policies.js';
import { requireInput } from './require-input.js';

export interface ConsumePromptsInput {
  /** Name of the wrapper, for example `sigma`. */
  readonly wrapper: string;
  /** Prompts of this run; default: as configured. */
  readonly batch?: number | undefined;
  /** ISO 8601 with its zone; default: the start of this workflow (a run by hand). */
  readonly logicalTime?: string | undefined;
}

export interface ConsumePromptsResult {
  readonly logicalTime: string;
  readonly wrapper: string;
  readonly claimed: number;
  /** Scored with the threshold and more. */
  readonly processed: number;
  /** Scored below the threshold. */
  readonly low: number;
  /** Without a score: an empty answer, or a fault after its retries. */
  readonly unscored: number;
  /** Taken away by somebody else while they were worked on. */
  readonly lost: number;
  readonly meanScore: number | null;
  /** Why the run ended: `batch`: it is done; `empty`: nothing waits; else what stopped it. */
  readonly ended: string;
  /** Jobs that went back to `incoming` before, because nobody worked on them any more. */
  readonly takenBack: number;
  /** Some of the answers came from a simulated service. */
  readonly simulated: boolean;
}

const tower = proxyActivities<SyntxActivities>(briefPolicy);

/**
 * `consumePrompts`: claim → calibrate → score, prompt by prompt, oldest first. One run at a time for each wrapper: the workflow id is
 * fixed. A run that ends in any way gives back what it had not settled.
 */
export async function consumePrompts(input?: ConsumePromptsInput): Promise<ConsumePromptsResult> {
  const { wrapper, batch, ...rest } = checkedInput(input);
  const logicalTime = logicalTimeOf(rest);
  const { workflowId, runId } = workflowInfo();
  const stamp = logicalTime.replaceAll(/[-:.]/g, '');
  const sessionId = uuid4().slice(0, 8);
  const consumer = { run: `consume-${wrapper}-${stamp}-${sessionId}`, wrapper, sessionId, workflowId, runId };
  const display = new PromptDisplay(`Consumer ${wrapper}`, logicalTime);
  display.stage('open');
  const plan = await tower.openConsumer({ consumer, batch });
  display.stage('calibrate');
  const run = new ConsumerRun({ consumer, plan, display });
  try {
    await run.work();
  } finally {
    await inClosing((last) => last.closeConsumer({ consumer, counts: run.counts }));
  }
  run.markAtEnd();
  display.stage('done');
  return { logicalTime, wrapper, ...run.result, takenBack: plan.takenBack };
}

function checkedInput(input: ConsumePromptsInput | undefined): ConsumePromptsInput {
  const given = requireInput('consumePrompts', input);
  checkPromptInput(given, { names: ['wrapper', 'batch', 'logicalTime'], required: ['wrapper'] });
  requirePromptId('consume', given.wrapper);
  return given;
}

interface RunParts {
  readonly consumer: ConsumerReference;
  readonly plan: ConsumerPlan;
  readonly display: PromptDisplay;
}

type End = PromptOutcome | 'lost';

/** Claims and settles prompts, several at a time, until the batch is done or nothing waits. */
class ConsumerRun {
  readonly #parts: RunParts;
  readonly #scores: number[] = [];
  /** A cancel meets a claim that goes on all the same: its job has to be known to be given back. */
  readonly #claiming = proxyActivities<SyntxActivities>(waitedFor(briefPolicy));
  #claims = 0;
  #claimed = 0;
  #processed = 0;
  #low = 0;
  #unscored = 0;
  #lost = 0;
  #faultsInARow = 0;
  #ended: string | undefined;
  #simulated = false;
  /** Without waiting for the end, which a run that fails never comes to; not so in runs that began with an older Tower. */
  readonly #marksAtOnce = patched('consumer-marks-at-once');

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  async work(): Promise<void> {
    const lanes = Array.from({ length: this.#parts.plan.parallel }, () => this.#lane());
    // All of them end before the first fault is thrown: a job under way is settled, and not left to the next look.
    const results = await Promise.allSettled(lanes);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  get counts(): { readonly processed: number; readonly failed: number } {
    return { processed: this.#processed, failed: this.#low + this.#unscored };
  }

  get result(): Omit<ConsumePromptsResult, 'logicalTime' | 'wrapper' | 'takenBack'> {
    const sum = this.#scores.reduce((total, score) => total + score, 0);
    return {
      ...{ claimed: this.#claimed, processed: this.#processed, low: this.#low, unscored: this.#unscored },
      ...{ lost: this.#lost, ended: this.#ended ?? 'batch', simulated: this.#simulated },
      meanScore: this.#scores.length === 0 ? null : Math.round((100 * sum) / this.#scores.length) / 100,
    };
  }

  markAtEnd(): void {
    if (this.#simulated && !this.#marksAtOnce) this.#mark();
  }

  #mark(): void {
    this.#parts.display.simulated('Wrapper service', true);
  }

  async #lane(): Promise<void> {
    const { consumer, plan } = this.#parts;
    try {
      while (this.#ended === undefined && this.#claims < plan.batch) {
        const job = await this.#claiming.claimPrompt({ consumer, claim: this.#claims++ });
        if (job === null) {
          this.#ended ??= 'empty';
          return;
        }
        this.#claimed += 1;
        this.#count(await this.#settle(job));
      }
    } catch (error) {
      this.#ended ??= 'failed';
      throw asCancellation(error);
    }
  }

  async #settle(job: PromptReference): Promise<End> {
    const { consumer, plan } = this.#parts;
    const { calibratePrompt } = proxyActivities<SyntxActivities>(calibrationPolicy(plan, job.baseName));
    try {
      return await calibratePrompt({ consumer, job, gpuIndex: plan.gpu?.index ?? null });
    } catch (error) {
      const fault = CancellationScope.current().consideredCancelled ? 'CANCELLED' : faultOf(error);
      if (fault.startsWith('WRAPPER_')) return this.#giveUp(job);
      if (fault === 'LEASE_LOST') return 'lost';
      await inClosing((last) => last.giveBackPrompt({ job }));
      throw asCancellation(error);
    }
  }

  /** Ends a job without an answer; another program may have ended it first. */
  async #giveUp(job: PromptReference): Promise<End> {
    try {
      return await tower.giveUpPrompt({ consumer: this.#parts.consumer, job });
    } catch (error) {
      if (faultOf(error) === 'LEASE_LOST' && patched('lost-when-given-up')) return 'lost';
      if (patched('given-back-when-not-given-up')) await inClosing((last) => last.giveBackPrompt({ job }));
      throw error;
    }
  }

  #count(end: End): void {
    if (end === 'lost') this.#lost += 1;
    else this.#countOutcome(end);
    const { processed, failed } = this.counts;
    this.#parts.display.row(
      'Jobs',
      `${this.#claimed} of ${this.#parts.plan.batch}, ${processed} good, ${failed} in error`,
    );
  }

  #countOutcome({ stage, score, reason, simulated = false }: PromptOutcome): void {
    if (simulated && !this.#simulated && this.#marksAtOnce) this.#mark();
    this.#simulated ||= simulated;
    if (score !== null) this.#scores.push(score);
    if (stage === 'processed' || stage === 'archive') this.#processed += 1;
    else if (score === null) this.#unscored += 1;
    else this.#low += 1;
    // An empty answer is one: the service works.
    const isFault = score === null && stage !== 'processed' && reason !== 'empty';
    this.#faultsInARow = isFault ? this.#faultsInARow + 1 : 0;
    if (this.#faultsInARow < this.#parts.plan.stopAfterFaults) return;
    this.#ended ??= `${this.#faultsInARow} jobs in a row got no answer, the last: ${reason ?? 'no reason noted'}`;
  }
}

/** The code of what ended an activity for good. */
function faultOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof ApplicationFailure ? (cause.type ?? '') : '';
}
