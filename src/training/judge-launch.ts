import { RunStoppedError } from '../gpu/launch-errors.js';
import type { Log } from '../log/logger.js';
import type { FaultClass } from './fault-class.js';
import { TrainerFailedError } from './fault-policy.js';
import type { FaultRecord, Launch } from './launch-record.js';
import { summarizeLaunch, type LaunchSummary } from './launch-summary.js';
import { runDirectory } from './run-directory.js';
import { settle, writeOnce, type Settled } from './settle.js';
import { faultHistory } from './start-launch.js';
import { mayGoOn, readStopIntent } from './stop-intent.js';
import type { TrainingRequest } from './training-request.js';

const messageLimit = 2_000;

/** The run ended in order before its end; it goes on from `step` in its next generation. */
export interface Paused {
  readonly outcome: 'paused';
  /** Optimiser steps inside the newest complete state; 0 when there is none yet. */
  readonly step: number;
  readonly checkpoint: string | null;
}

export type TrainingResult = Settled | Paused;

/**
 * Decides what a launch with no living process has come to. The artefact decides first; then a stop intent explains the
 * end; what is left is a fault, recorded once and thrown.
 *
 * @param stalled - This attempt ended the launch because it hung.
 * @returns the result; `undefined` when the launch was judged before, or stopped in an earlier generation: start anew.
 * @throws RunStoppedError, TrainerFailedError.
 */
export async function judgeLaunch(
  request: TrainingRequest,
  launch: Launch,
  { log, stalled = false }: { log: Log; stalled?: boolean },
): Promise<TrainingResult | undefined> {
  const { driver } = request;
  const run = runDirectory(request.run.directory);
  const artefact = await driver.checkArtefact();
  if (artefact.valid) return await settle(run, driver, artefact);
  const intent = await readStopIntent(run, launch.spec.generation);
  if (intent !== undefined) {
    if (launch.spec.generation < request.generation) return undefined;
    if (mayGoOn(intent)) return await pausedResult(request);
    throw new RunStoppedError(request.run.id, request.generation, intent.reason);
  }
  if (launch.fault !== undefined) return undefined;

  const { summary, tail } = await summarizeLaunch(launch.files, driver);
  const faultClass = stalled ? 'stalled' : classify(request, launch, summary, tail);
  const message = describeFault(launch, faultClass, summary, `${artefact.reason}. ${lastWords(summary, tail)}`);
  const fault: FaultRecord = { class: faultClass, message, judgedAt: new Date().toISOString() };
  await writeOnce(launch.files.fault, fault);
  log.warn({ launch: launch.files.number, class: faultClass, exit: launch.exit }, 'trainer ended without its artefact');
  throw new TrainerFailedError(request.run.id, faultClass, message, await faultHistory(run, request));
}

/** Where a paused run stands. Nothing of the run may live: looking at states sets torn ones aside. */
export async function pausedResult({ driver }: Pick<TrainingRequest, 'driver'>): Promise<Paused> {
  const [newest] = await driver.completeCheckpoints();
  return { outcome: 'paused', step: newest?.step ?? 0, checkpoint: newest?.path ?? null };
}

function classify({ driver }: TrainingRequest, { exit }: Launch, summary: LaunchSummary, tail: string): FaultClass {
  // It saved and left because somebody sent the signal by hand: nothing is wrong, it only has to go on.
  if (summary.last('stopped') !== undefined && summary.last('error') === undefined) return 'killed';
  return driver.classify({ code: exit?.code ?? undefined, signal: exit?.signal ?? undefined }, summary.events, tail);
}

function describeFault(launch: Launch, faultClass: FaultClass, summary: LaunchSummary, detail: string): string {
  const { exit, files } = launch;
  const end = exit === undefined ? 'ended together with its launcher' : (exit.signal ?? `exit code ${exit.code}`);
  const total = summary.start === undefined ? '' : ` of ${summary.start.totalSteps}`;
  return `${faultClass} in launch ${files.number} (${end}, step ${summary.reachedStep}${total}): ${detail}`;
}

/** The trainer's own error if it wrote one, else its last output. */
function lastWords(summary: LaunchSummary, tail: string): string {
  const error = summary.last('error');
  if (error !== undefined) return [error.message, error.next].filter((text) => text !== undefined).join(' ');
  const output = tail.trim();
  return output === '' ? 'It wrote nothing.' : `Its last output:\n${output.slice(-messageLimit)}`;
}
