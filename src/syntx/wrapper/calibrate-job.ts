import { setTimeout as delay } from 'node:timers/promises';

import { describeError, TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import type { SyntxLogs } from '../logs/syntx-logs.js';
import type { ClaimedJob } from '../queue/claim.js';
import type { LeaseReference } from '../queue/leases.js';
import type { CallFacts, Settled } from '../queue/settle.js';
import type { StoredAnswer } from '../queue/answers.js';
import type { SyntxQueue } from '../queue/syntx-queue.js';
import { scoreAnswer } from '../scores/quality-score.js';
import type { CallTurns } from './call-turns.js';
import { defaultRetryBudget, nextTry, type NextTry, type RetryBudget } from './retry-budget.js';
import type { WrapperClient } from './wrapper-client.js';
import { UnstoredEnds, type CallEnd } from './unstored-ends.js';
import { WrapperFault, type WrapperFaultKind } from './wrapper-faults.js';

/** Who consumes: goes into the job's metadata and into the logs. */
export interface Consumer {
  /** Name of the wrapper, for example `sigma`. */
  readonly wrapper: string;
  /** For example `cron_sigma`. */
  readonly workerId: string;
  /** Eight characters, the same for all jobs of a run. */
  readonly sessionId: string;
  /** Names the run in the logs. */
  readonly run: string;
}

export interface CalibrationRequest {
  readonly queue: SyntxQueue;
  readonly client: WrapperClient;
  /** Shared by all who call the same service; default: nobody waits. */
  readonly turns?: CallTurns;
  readonly logs: SyntxLogs;
  readonly consumer: Consumer;
  readonly job: LeaseReference;
  /** From this score on a job goes to `processed`. The guide's is 90. */
  readonly threshold: number;
  readonly budget?: RetryBudget;
  /** Between two tries to store what cannot be stored yet, in milliseconds. Default 5 s. */
  readonly storePauseMs?: number;
  /** Aborts when somebody else needs what the attempt holds: a wait until something can be stored ends then, with the signal's reason. */
  readonly makeWay?: AbortSignal;
  /** What attempts that are over could not store; default: nobody follows them. */
  readonly unstored?: UnstoredEnds;
}

/** Where a call is; while its answer or its fault cannot be stored, why. */
export interface CalibrationProgress {
  /** `waiting for its turn`, `asking the model`, `keeping the answer: <why it cannot be stored>` or `keeping the fault: <why>` */
  readonly stage: string;
  /** Why it is not its turn: the error that it would end with if time were over. */
  readonly waitsFor?: TowerError;
}

/** The reason of a job that was answered with nothing. */
const emptyAnswer = 'empty';

const defaultStorePauseMs = 5_000;

/**
 * Has a claimed job answered and scored, and ends it: a score of the threshold and more in `processed`, less in `error`, an empty
 * answer unscored in `error`. Repeatable at any point: a stored answer is scored again and not asked for again, and a job that is
 * settled stays where it is.
 *
 * @returns where the job went.
 * @throws WrapperFault whose `retryable` and `retryAfterMs` say what is left of the job's budget, which is kept with its lease.
 * When it is not retryable, {@link giveUpJob} ends the job.
 * @throws TowerError `LEASE_LOST`; `DISK_FULL` and `SERVICE_BUSY`, before the call is made
 */
export async function calibrateJob(
  request: CalibrationRequest,
  options: ServiceOptions<CalibrationProgress>,
): Promise<Settled> {
  const { queue, job, consumer, logs, threshold, unstored } = request;
  const settled = (await queue.settled(job)) ?? (await calibrate(request, options).catch(settledMeanwhile(request)));
  unstored?.drop(job);
  await logs.consumedJob(consumer, settled);
  const { stage, score, reason } = settled;
  options.log.info({ job: job.baseName, stage, score, reason, threshold }, 'job settled');
  return settled;
}

/** An attempt that was given up for dead may still be at work, and come first. */
function settledMeanwhile({ queue, job, unstored }: CalibrationRequest): (error: unknown) => Promise<Settled> {
  return async (error) => {
    const isLost = error instanceof TowerError && error.code === 'LEASE_LOST';
    if (isLost) unstored?.drop(job);
    const settled = isLost ? await queue.settled(job) : undefined;
    if (settled === undefined) throw error;
    return settled;
  };
}

/** Ends a job whose budget is used up: unscored in `error`, with the fault that was noted last as the original words it. */
export async function giveUpJob(
  { queue, job, consumer, logs }: Pick<CalibrationRequest, 'queue' | 'job' | 'consumer' | 'logs'>,
  { log }: Pick<ServiceOptions, 'log'>,
): Promise<Settled> {
  const settled = await queue.fail(job, callFacts(consumer));
  await logs.consumedJob(consumer, settled);
  log.warn({ job: job.baseName, stage: settled.stage, reason: settled.reason }, 'job given up');
  return settled;
}

async function calibrate(request: CalibrationRequest, options: ServiceOptions<CalibrationProgress>): Promise<Settled> {
  const { queue, consumer, logs, client, threshold } = request;
  const job = await queue.claimed(request.job);
  const answer = (await storedAnswer(request, job)) ?? (await askInTurn(request, job, options));
  const scored = scoreAnswer(answer.response);
  const key = job.token;
  await logs.calibration({
    ...{ key, prompt: job.prompt, response: answer.response, error: null, durationMs: answer.durationMs },
    ...{ retries: answer.attempts - 1, parameters: client.parameters, scored },
  });
  const facts = { ...callFacts(consumer), durationMs: answer.durationMs, simulated: answer.simulated === true };
  if (scored === null) return queue.fail(job, { ...facts, error: emptyAnswer });
  await logs.progress({ key, sessionId: consumer.sessionId, score: scored.score, prompt: job.prompt });
  return queue.complete(job, { ...facts, score: scored.score, response: answer.response, threshold });
}

function storedAnswer({ queue, consumer }: CalibrationRequest, job: ClaimedJob): Promise<StoredAnswer | undefined> {
  return queue.findAnswer(job.baseName, { wrapper: consumer.wrapper, prompt: job.prompt });
}

async function askInTurn(
  request: CalibrationRequest,
  job: ClaimedJob,
  options: ServiceOptions<CalibrationProgress>,
): Promise<StoredAnswer> {
  const { signal, onProgress } = options;
  if (request.turns === undefined) return ask(request, job, options);
  const onWait = (waitsFor: TowerError) => onProgress?.({ stage: 'waiting for its turn', waitsFor });
  const work = async () => {
    // Another attempt may have had its turn meanwhile, and have got an answer or a fault, or ended the job.
    const still = await request.queue.claimed(job);
    return (await storedAnswer(request, still)) ?? ask(request, still, options);
  };
  return request.turns.run(work, { signal, onWait });
}

async function ask(
  request: CalibrationRequest,
  job: ClaimedJob,
  options: ServiceOptions<CalibrationProgress>,
): Promise<StoredAnswer> {
  const { unstored = new UnstoredEnds(), makeWay, consumer } = request;
  const end = unstored.find(job, consumer.wrapper) ?? (await callModel(request, job, options));
  unstored.keep(job, consumer.wrapper, end);
  const outcome = await untilStored(end, { ...request, job }, options).catch((error: unknown) => {
    // An attempt whose time is over leaves it to the next one.
    if (!options.signal.aborted && makeWay?.aborted !== true) unstored.drop(job);
    throw error;
  });
  unstored.drop(job);
  if (outcome instanceof WrapperFault) throw outcome;
  return outcome;
}

async function callModel(
  { queue, client, consumer, logs, budget = defaultRetryBudget }: CalibrationRequest,
  job: ClaimedJob,
  options: ServiceOptions<CalibrationProgress>,
): Promise<CallEnd> {
  const { wrapper } = consumer;
  requireDue(job, budget);
  // A half-hour call is not begun when its answer would be lost.
  await queue.requireSpace();
  const started = performance.now();
  options.onProgress?.({ stage: 'asking the model' });
  const asked = await client.ask(job.prompt, wrapper, { signal: options.signal }).catch((error: unknown) => {
    if (error instanceof WrapperFault) return error;
    throw error;
  });
  if (!(asked instanceof WrapperFault)) {
    const { response, durationMs, simulated } = asked;
    const answer = { wrapper, response, durationMs, attempts: job.faults.length + 1, simulated };
    return { what: 'answer', store: (holder) => queue.storeAnswer(holder, job.prompt, answer).then(() => answer) };
  }
  const { code, message, upstreamError, exceptionType, detail, status, retryAfterMs } = asked;
  const durationMs = Math.round(performance.now() - started);
  const at = new Date().toISOString();
  const fault = { kind: code, error: upstreamError, exceptionType, detail, durationMs, at, retryAfterMs };
  const store = async () => {
    const faults = await queue.noteFault(job, fault);
    const entry = {
      ...{ key: `${job.token}-${faults.length}`, prompt: job.prompt, response: null, error: upstreamError },
      ...{ durationMs, retries: faults.length - 1, parameters: client.parameters, scored: null },
    };
    // The fault decides when the model is asked again, whatever becomes of its line in the log.
    await logs.calibration(entry).catch((failure: unknown) => {
      options.log.error({ error: describeError(failure) }, 'a fault could not be logged');
    });
    const next = nextTryAfter(faults, budget);
    return new WrapperFault(code, message, {
      ...{ detail, upstreamError, status, retryable: next.retry },
      ...(next.retry && { retryAfterMs: next.afterMs }),
    });
  };
  return { what: 'fault', store };
}

function nextTryAfter(faults: ClaimedJob['faults'], budget: RetryBudget): NextTry {
  const kinds = faults.map(({ kind }) => kind);
  return nextTry(kinds, budget, faults.at(-1)?.retryAfterMs);
}

/**
 * A worker that dies after it has noted a fault tells nobody when the call may be made again; so the next attempt looks at the fault.
 *
 * @throws WrapperFault as the attempt that noted it would have
 */
function requireDue({ faults }: ClaimedJob, budget: RetryBudget): void {
  const last = faults.at(-1);
  if (last === undefined) return;
  const next = nextTryAfter(faults, budget);
  const sinceMs = Date.now() - Date.parse(last.at);
  // A time to come was written by a wrong clock: nobody knows how long ago it was.
  if (next.retry && !(sinceMs >= 0 && sinceMs < next.afterMs)) return;
  throw new WrapperFault(last.kind as WrapperFaultKind, `the last call: ${last.detail}`, {
    ...{ detail: last.detail, upstreamError: last.error, retryable: next.retry },
    ...(next.retry && { retryAfterMs: next.afterMs - sinceMs }),
  });
}

/**
 * An answer may be half an hour's work, and a fault says when the model may be asked again: while one of them cannot be stored, it is
 * kept and tried again, until the attempt is over or makes way.
 */
async function untilStored(
  { what, store }: CallEnd,
  {
    storePauseMs = defaultStorePauseMs,
    makeWay,
    job,
  }: Pick<CalibrationRequest, 'storePauseMs' | 'makeWay'> & { readonly job: ClaimedJob },
  { signal, log, onProgress }: ServiceOptions<CalibrationProgress>,
): Promise<StoredAnswer | WrapperFault> {
  const ended = makeWay === undefined ? signal : AbortSignal.any([signal, makeWay]);
  for (;;) {
    try {
      return await store(job);
    } catch (error) {
      if (!mayPass(error)) throw error;
      const reason = describeError(error);
      log.warn({ error: reason }, `the ${what} of a call cannot be stored yet`);
      onProgress?.({ stage: `keeping the ${what}: ${error.message}` });
      await delay(storePauseMs, undefined, { signal: ended }).catch(() => undefined);
      signal.throwIfAborted();
      makeWay?.throwIfAborted();
    }
  }
}

/** A disk has bad moments of many kinds (EIO, ESTALE, EMFILE); what needs a person, such as rights, ends the run. */
function mayPass(error: unknown): error is Error {
  if (error instanceof TowerError) return error.retryable;
  return error instanceof Error && 'syscall' in error;
}

function callFacts({ wrapper, workerId, sessionId }: Consumer): Omit<CallFacts, 'durationMs'> {
  return { sessionId, wrapper, workerId };
}
