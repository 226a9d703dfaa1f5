import {
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  patched,
  proxyActivities,
  rootCause,
  workflowInfo,
} from '@temporalio/workflow';

import type { CharacterTowerActivities } from '../activities/character/interfaces.js';
import type { PauseControl } from './pause-control.js';
import { briefPolicy } from './policies.js';

type Reason = Awaited<ReturnType<CharacterTowerActivities['waitingReasons']>>[number];

/** So much later than its limit a stage may be told to end. */
const tower = proxyActivities<CharacterTowerActivities>({ ...briefPolicy, scheduleToCloseTimeout: '10 seconds' });

/** How long a stage with a limit has lasted so far, pauses left out. */
export class StageClock {
  #before: number;
  #since: number | undefined;

  /** @param spentMs - What the stage has lasted in executions before this one. */
  constructor(spentMs = 0) {
    this.#before = spentMs;
  }

  get spentMs(): number {
    return this.#before + (this.#since === undefined ? 0 : Date.now() - this.#since);
  }

  start(): void {
    this.#since = Date.now();
  }

  stop(): void {
    this.#before = this.spentMs;
    this.#since = undefined;
  }
}

export interface StageLimit {
  readonly stage: string;
  /** `null`: as long as it takes. */
  readonly limitMs: number | null;
  readonly pause: PauseControl;
  /** Of a stage that may go on in a new execution. */
  readonly clock?: StageClock;
}

/**
 * Runs a stage that may last so long: waiting for the GPU counts, a pause does not.
 *
 * @throws ApplicationFailure `STAGE_TIMED_OUT` when the limit passes first, with what the stage was waiting for (a full disk,
 * a GPU without room); the stage has ended in order then.
 */
export async function withinLimit<Result>(
  { stage, limitMs, pause, clock = new StageClock() }: StageLimit,
  work: () => Promise<Result>,
): Promise<Result> {
  if (limitMs === null) return work();
  const scope = new CancellationScope();
  const watch = new CancellationScope();
  let over = false;
  let reason: Reason | undefined;
  void watch
    .run(async () => {
      await passed(limitMs, pause, clock);
      // Before the end: the server forgets what its activities were waiting for.
      return patched('stage-limit-reason') ? waitedFor() : undefined;
    })
    .then(
      (found) => {
        over = true;
        reason = found;
        scope.cancel();
      },
      // Cancelled together with the stage, or after it.
      () => undefined,
    );
  try {
    return await scope.run(work);
  } catch (error) {
    if (!over || CancellationScope.current().consideredCancelled) throw error;
    throw timedOut({ stage, limitMs }, reason, isCancellation(error) ? undefined : rootCause(error));
  } finally {
    watch.cancel();
  }
}

/** Resolves when so much time has passed outside pauses. */
async function passed(limitMs: number, pause: PauseControl, clock: StageClock): Promise<void> {
  while (clock.spentMs < limitMs) {
    await pause.moving();
    clock.start();
    await condition(() => pause.standsStill, limitMs - clock.spentMs);
    clock.stop();
  }
}

/** What the stage waits for; without that what its last attempt ended with. */
async function waitedFor(): Promise<Reason | undefined> {
  try {
    const reasons = await tower.waitingReasons({ workflowId: workflowInfo().workflowId });
    return reasons.find(({ waits }) => waits) ?? reasons[0];
  } catch (error) {
    // The stage, or the whole run, has ended meanwhile.
    if (isCancellation(error)) throw error;
    // The limit holds, whether or not anybody can say more.
    return undefined;
  }
}

/**
 * Without a `cause`: whoever asks why a run failed is told the innermost one, and that is the limit.
 *
 * @param ending - What the stage said when it was told to end, if that was more than that it obeys.
 */
function timedOut(
  { stage, limitMs }: { readonly stage: string; readonly limitMs: number },
  reason: Reason | undefined,
  ending: string | undefined,
): ApplicationFailure {
  const facts = [`the stage ${stage} was ended after ${Math.round(limitMs / 1000)} s, as the job says`];
  if (reason !== undefined) {
    const state = reason.waits ? 'was waiting' : 'had failed before';
    facts.push(`${reason.activity} ${state}: ${reason.message} [${reason.code}]`);
  }
  if (ending !== undefined && ending !== reason?.message) facts.push(`at its end: ${ending}`);
  const remedy = remedyIn(reason?.next);
  const raise = `raise the timeout of ${stage}, then let the run go on from what it has: \`tower character start --run\`.`;
  const next = remedy === undefined ? `R${raise.slice(1)}` : `${remedy}, or ${raise}`;
  const details = [{ code: 'STAGE_TIMED_OUT', next }];
  return ApplicationFailure.create({ message: facts.join('; '), type: 'STAGE_TIMED_OUT', nonRetryable: true, details });
}

/** What a person can do; that the work goes on by itself was true until now. */
function remedyIn(next: string | null | undefined): string | undefined {
  const remedy = next?.replace(/^Nothing:.*|[.;]? *(the work|Tower) goes on by itself.*$/i, '').replace(/\.$/, '');
  return remedy === '' ? undefined : remedy;
}
