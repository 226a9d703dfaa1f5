import type { Client } from '@temporalio/client';
import pMap from 'p-map';

import { waitingReasons } from '../../temporal/waiting-reasons.js';
import { characterIdPrefix, characterSlotsWorkflowId, reviewQueryName, slotsQuery } from '../../workflows/names.js';
import type { ReviewQuestion } from '../../workflows/review-control.js';
import type { SlotState } from '../../workflows/slot-queue.js';
import { shortIdOf } from '../character/character-id.js';
import { reviewStage, waitingStage } from '../character/waiting-stages.js';
import { isPausedStage } from '../runs/workflow-snapshot.js';
import type { WaitingWorkflow } from './running-workflow.js';

/** A query needs a worker; without one the report says so elsewhere. */
const queryTimeoutMs = 3_000;
/** Of however many workflows. */
const questionsAtOnce = 20;

/**
 * Says of each character run that waits for a place who has them, of each that waits for a person for what, and of every
 * workflow whose activity waits for something (room on a disk or a GPU, a server that is away) for what.
 */
export async function explainWaiting<Workflow extends WaitingWorkflow>(
  client: Client,
  running: readonly Workflow[],
): Promise<Workflow[]> {
  const mayWait = (workflow: Workflow) => workflow.stage === waitingStage || isPausedCharacter(workflow);
  const explained = running.some(mayWait) ? await explainSlots(client, running) : running;
  return pMap(explained, async (workflow) => explainActivities(client, await explainReview(client, workflow)), {
    concurrency: questionsAtOnce,
  });
}

async function explainActivities<Workflow extends WaitingWorkflow>(
  client: Client,
  workflow: Workflow,
): Promise<Workflow> {
  const { workflowId, runId, waitsFor } = workflow;
  if (waitsFor !== null) return workflow;
  const reasons = await askWithin(client, () => waitingReasons(client, workflowId, runId));
  const waiting = reasons?.filter(({ waits }) => waits) ?? [];
  if (waiting.length === 0) return workflow;
  const text = waiting.map(({ activity, message, code }) => `${activity} waits: ${firstLine(message)} [${code}]`);
  return { ...workflow, waitsFor: text.join('; ') };
}

/** The output of a trainer that has failed has many. */
function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? '';
}

async function explainSlots<Workflow extends WaitingWorkflow>(
  client: Client,
  running: readonly Workflow[],
): Promise<readonly Workflow[]> {
  const slots = await ask<SlotState>(client, characterSlotsWorkflowId, slotsQuery);
  if (slots === undefined) return running;
  const { holders, waiting } = slots;
  const atWork = holders.map(({ workflowId }) => shortIdOf(workflowId)).join(', ');
  return running.map((workflow) => {
    const position = waiting.findIndex(({ workflowId }) => workflowId === workflow.workflowId);
    const request = waiting[position];
    if (request === undefined) {
      const isHolder = holders.some(({ workflowId }) => workflowId === workflow.workflowId);
      return isHolder || !isPausedCharacter(workflow) ? workflow : { ...workflow, waitsFor: pausedText(workflow) };
    }
    const before = position === 0 ? 'next in line' : `${position} wait before it`;
    const waitsFor = `${holders.length} of at most ${request.max} character runs are at work (${atWork}); ${before}`;
    return { ...workflow, waitsFor };
  });
}

function isPausedCharacter({ workflowId, stage }: WaitingWorkflow): boolean {
  return workflowId.startsWith(characterIdPrefix) && isPausedStage(stage);
}

function pausedText({ workflowId }: WaitingWorkflow): string {
  return `paused, its place is free for others: \`tower character resume ${shortIdOf(workflowId)}\``;
}

async function explainReview<Workflow extends WaitingWorkflow>(client: Client, workflow: Workflow): Promise<Workflow> {
  const { workflowId, stage } = workflow;
  if (stage !== reviewStage || !workflowId.startsWith(characterIdPrefix)) return workflow;
  const question = await ask<ReviewQuestion | null>(client, workflowId, reviewQueryName);
  const sheet = question?.contactSheet;
  const waitsFor = `your decision${sheet === undefined ? '' : ` about ${sheet}`}: \`tower character approve ${shortIdOf(workflowId)}\``;
  return { ...workflow, waitsFor };
}

function ask<Answer>(client: Client, workflowId: string, query: string): Promise<Answer | undefined> {
  return askWithin(client, () => client.workflow.getHandle(workflowId).query<Answer>(query));
}

async function askWithin<Answer>(client: Client, request: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await client.connection.withDeadline(Date.now() + queryTimeoutMs, request);
  } catch {
    // Nobody answers: the reason for waiting is a detail, and the rest of the report does not depend on it.
    return undefined;
  }
}
