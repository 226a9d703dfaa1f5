import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  ContinueAsNew,
  continueAsNew,
  isCancellation,
  log,
  proxyActivities,
  rootCause,
  workflowInfo,
} from '@temporalio/workflow';

import type {
  CaptionRecord,
  CharacterEnd,
  CharacterHostActivities,
  CharacterStage,
  CheckedCharacter,
  ChosenEpoch,
  ImageCounts,
  ProofRecord,
  PublishRecord,
} from '../activities/character/interfaces.js';
import type { Placement, TowerActivities, TrainedOutcome } from '../activities/interfaces.js';
import { asCancellation } from './cancellation.js';
import { makeDataset, type RenderTurns } from './character-dataset.js';
import { CharacterDisplay } from './character-display.js';
import { makeLora, type CharacterLora } from './character-train.js';
import { CharacterSlot } from './character-slot.js';
import { characterIdPrefix, characterWorkflowId } from './names.js';
import { PauseControl } from './pause-control.js';
import { sharingPlace, waitForPlace } from './place-while-paused.js';
import { briefPolicy, hostWorkPolicy } from './policies.js';
import { requireInput } from './require-input.js';
import { ReviewControl } from './review-control.js';
import { StageClock } from './stage-limit.js';

/**
 * Input of `characterLora`. By hand: `temporal workflow start --type characterLora --task-queue tower --workflow-id
 * character-lora/elara/1 --input '{"job": {"name": "Elara", "description": "1girl, brown hair"}}'` (docs/workflows.md).
 */
export interface CharacterLoraInput {
  /** The job as the user wrote it; checked on the GPU host before anything is done. Only with `run` it may be left out. */
  readonly job?: unknown;
  /** GPU host to run on; default: the job's, else the least busy one. */
  readonly host?: string | undefined;
  /** Id of an earlier run of this character that failed or was cancelled: it goes on from what it has. */
  readonly run?: string | undefined;
  /** Handed on by an execution whose history has grown long. */
  readonly yields?: number;
  /** Handed on, too: how long the rendering has lasted without its pauses, in ms. */
  readonly renderingMs?: number;
}

export interface CharacterLoraResult {
  readonly outcome: 'succeeded' | 'simulated';
  readonly reason: string;
  readonly run: string;
  readonly name: string;
  readonly host: string;
  readonly stages: readonly CharacterStage[];
  /** The dataset folder on that host. */
  readonly dataset: string;
  readonly images: ImageCounts | null;
  readonly captions: CaptionRecord | null;
  /** How often the rendering made way for more urgent work. */
  readonly yields: number;
  readonly training: TrainedOutcome | null;
  readonly chosen: ChosenEpoch | null;
  readonly lora: PublishRecord | null;
  readonly proof: ProofRecord | null;
  /** Images or LoRA come from a simulation. */
  readonly simulated: boolean;
}

const tower = proxyActivities<TowerActivities>(briefPolicy);

/**
 * `characterLora`: plan → render → caption → (review) → train → choose → publish → prove → record. It ends as completed
 * (`succeeded`, or `simulated` when anything in it was), failed or cancelled. What it has made stays in the dataset and run
 * folders, and a later run can go on from there.
 */
export async function characterLora(input?: CharacterLoraInput): Promise<CharacterLoraResult> {
  const given = checkedInput(input);
  const display = new CharacterDisplay();
  const pause = new PauseControl((paused) => display.setPaused(paused));
  const review = new ReviewControl();
  const slot = new CharacterSlot();
  const progress: RunProgress = { run: undefined, host: undefined };
  try {
    const result = await runCharacter(given, { display, pause, review, slot, progress });
    display.finish(result.outcome, result.reason);
    await slot.release();
    return result;
  } catch (thrown) {
    if (thrown instanceof ContinueAsNew) throw thrown;
    const error = asCancellation(thrown);
    await CancellationScope.nonCancellable(async () => {
      await slot.release();
      const { run, host } = progress;
      if (run !== undefined) await host?.recordCharacter({ run, ...endOf(error) }).catch(logUnrecorded);
    });
    throw error;
  } finally {
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished, '5 minutes'));
  }
}

/** A record that cannot be written must not stand in for what it would have recorded. */
function logUnrecorded(error: unknown): void {
  if (isCancellation(error)) throw error;
  log.error('how the run ended cannot be recorded', { reason: rootCause(error) });
}

/** What a person may have typed after `temporal workflow start --input`. @throws ApplicationFailure `BAD_INPUT` */
function checkedInput(input: CharacterLoraInput | undefined): CharacterLoraInput {
  const given = requireInput('characterLora', input);
  const names = ['job', 'host', 'run', 'yields', 'renderingMs'];
  const faults = Object.keys(given)
    .filter((name) => !names.includes(name))
    .map((name) => `${name}: expected one of job, host, run`);
  for (const name of ['host', 'run'] as const) {
    const value: unknown = given[name];
    if (value !== undefined && typeof value !== 'string') {
      faults.push(`${name}: expected a text, found ${JSON.stringify(value)}`);
    }
  }
  if (given.job === undefined && given.run === undefined) faults.push('job: expected a job, found nothing');
  if (faults.length > 0) throw ApplicationFailure.nonRetryable(faults.join('; '), 'BAD_INPUT');
  return given;
}

interface CharacterControls {
  readonly display: CharacterDisplay;
  readonly pause: PauseControl;
  readonly review: ReviewControl;
  readonly slot: CharacterSlot;
  readonly progress: RunProgress;
}

/** What the record of a run that ends badly needs, as far as there is something to record. */
interface RunProgress {
  run: string | undefined;
  host: CharacterHostActivities | undefined;
}

async function runCharacter(
  { job, host: wantedHost, run, yields = 0, renderingMs = 0 }: CharacterLoraInput,
  controls: CharacterControls,
): Promise<CharacterLoraResult> {
  const { display, pause, slot } = controls;
  const placement = await tower.choosePlacement({ host: wantedHost ?? hostIn(job) });
  display.start(placement);
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  const checked = await host.checkCharacterJob({ job, run });
  refuseOtherId(checked.slug);
  display.checked(checked);

  const owner = { checked, pause, slot, display };
  await waitForPlace(owner);
  const given = { job, run, turns: { yields, clock: new StageClock(renderingMs) } };
  return sharingPlace(owner, () => madeWithPlace(given, { ...controls, checked, placement, host }));
}

interface PlacedControls extends CharacterControls {
  readonly checked: CheckedCharacter;
  readonly placement: Placement;
  readonly host: CharacterHostActivities;
}

async function madeWithPlace(
  { job, run, turns }: Pick<CharacterLoraInput, 'job' | 'run'> & { readonly turns: RenderTurns },
  { checked, placement, host, ...controls }: PlacedControls,
): Promise<CharacterLoraResult> {
  const { display, pause, progress } = controls;
  await pause.gate();
  display.stage('plan');
  const prepared = await host.prepareCharacter({ job, owner: workflowInfo().firstExecutionRunId, run });
  Object.assign(progress, { run: prepared.run, host });
  display.prepared(prepared);

  const moveOn = () => {
    const { yields, clock } = turns;
    return goOnInNewExecution({ job, host: placement.host, run, yields, renderingMs: clock.spentMs }, pause);
  };
  const parts = { ...controls, checked, prepared, placement, turns, moveOn };
  const dataset = await makeDataset(parts);
  const lora = await makeLora(parts);

  display.stage('record');
  const simulated =
    prepared.simulated || dataset.simulated || (lora.training?.simulated ?? false) || (lora.proof?.simulated ?? false);
  const outcome = simulated ? ('simulated' as const) : ('succeeded' as const);
  const reason = reasonOf(lora, prepared.dataset);
  await host.recordCharacter({ run: prepared.run, outcome, reason });
  return {
    outcome,
    reason,
    run: prepared.run,
    name: checked.name,
    host: placement.host,
    stages: checked.stages,
    dataset: prepared.dataset,
    images: dataset.images,
    captions: dataset.captions,
    yields: turns.yields,
    ...lora,
    simulated,
  };
}

function reasonOf({ chosen, lora }: CharacterLora, dataset: string): string {
  if (chosen === null || lora === null) return `the dataset ${dataset} is complete`;
  if (lora.outcome === 'withheld') return `not delivered: ${lora.reason}`;
  const noAlias = lora.aliasRefused === undefined ? '' : `; no alias: ${lora.aliasRefused}`;
  return `${lora.name} is ${chosen.reason}${noAlias}`;
}

/** How a run ended that did not come to its end, and why; a cancellation itself carries no words. */
function endOf(error: unknown): CharacterEnd {
  if (isCancellation(error)) {
    return { outcome: 'cancelled', reason: 'cancelled on request; `--run` goes on from what is there' };
  }
  return { outcome: 'failed', reason: (rootCause(error) ?? 'no reason given').slice(0, 500) };
}

/** Ids carry the slug, so that lists and locks of people and programs work; the version is free. */
function refuseOtherId(slug: string): void {
  const { workflowId } = workflowInfo();
  const [ownSlug, version, ...rest] = workflowId.slice(characterIdPrefix.length).split('/');
  const fits = workflowId.startsWith(characterIdPrefix) && ownSlug === slug && /^[1-9]\d*$/.test(version ?? '');
  if (fits && rest.length === 0) return;
  throw ApplicationFailure.nonRetryable(
    `characterLora of ${slug} runs only under an id such as ${characterWorkflowId(slug, 1)}, found ${workflowId}`,
    'WRONG_WORKFLOW_ID',
  );
}

/** Everything that is done lies in the run folder, where the new execution finds it under the same owner. */
async function goOnInNewExecution(input: CharacterLoraInput, pause: PauseControl): Promise<void> {
  if (!workflowInfo().continueAsNewSuggested) return;
  await condition(allHandlersFinished);
  // A pause is known to this execution only.
  if (pause.standsStill) return;
  await continueAsNew<typeof characterLora>(input);
}

/** The job is not checked yet; a host that is no text will be a fault of the job. */
function hostIn(job: unknown): string | undefined {
  if (typeof job !== 'object' || job === null || !('host' in job)) return undefined;
  return typeof job.host === 'string' ? job.host : undefined;
}
