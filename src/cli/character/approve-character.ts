import { readFile } from 'node:fs/promises';

import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { z } from 'zod';

import type { ReviewDecision } from '../../character/review-decision.js';
import { describeError, TowerError } from '../../errors.js';
import { approveUpdateName } from '../../workflows/names.js';
import type { ReviewAnswer } from '../../workflows/review-control.js';
import type { CommandContext } from '../command-context.js';
import { answered } from '../runs/control-workflows.js';
import { failureOf } from '../runs/workflow-failure.js';
import { withClient } from '../temporal-client.js';
import { characterIdOf } from './character-id.js';

export interface ApproveOptions {
  readonly reject?: string;
  readonly final?: boolean;
  readonly reason?: string;
  readonly caption?: readonly string[];
  readonly captions?: string;
  readonly notYet?: boolean;
  readonly by?: string;
}

const captionsSchema = z.record(z.string().regex(/^\d+$/, 'expected an image number'), z.string());

/**
 * Tells a run what a person decided about its contact sheet, and waits until that is done.
 *
 * @throws TowerError `NOT_FOUND`, `REVIEW_REFUSED` with every fault, `USAGE`.
 */
export async function approveCharacter(run: string, options: ApproveOptions, context: CommandContext): Promise<void> {
  const decision = await decisionOf(options);
  const { workflowId, answer } = await withClient(context, async ({ client }) => {
    const workflowId = await characterIdOf(client, run);
    try {
      const handle = client.workflow.getHandle(workflowId);
      const answer = await answered(context, `telling ${workflowId}`, () =>
        handle.executeUpdate<ReviewAnswer, [ReviewDecision]>(approveUpdateName, { args: [decision] }),
      );
      return { workflowId, answer };
    } catch (error) {
      throw asTowerError(error, workflowId);
    }
  });
  const next =
    answer.state === 'approved' ? 'approved: the run goes on' : 'not approved yet: another look is asked for';
  const { rejected, again, edited } = answer;
  const done = [
    rejected === 0 ? null : `${rejected} rejected${again === 0 ? '' : ', to be rendered again'}`,
    edited === 0 ? null : `${edited} caption${edited === 1 ? '' : 's'} edited`,
  ].filter((part) => part !== null);
  context.output.result({ workflowId, ...answer }, `${[`${workflowId} is ${next}`, ...done].join('; ')}.`);
}

/** @throws TowerError `USAGE` */
export async function decisionOf(options: ApproveOptions): Promise<ReviewDecision> {
  for (const name of ['final', 'reason'] as const) {
    if (options[name] !== undefined && options.reject === undefined) throw usage(`--${name} goes with --reject`);
  }
  if (options.notYet === true && options.final === true) {
    throw usage('--final approves, --not-yet does not: give one of them');
  }
  const reject = (options.reject ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map((text) => ({ index: numberOf(text, '--reject'), ...(options.reason && { reason: options.reason }) }));
  // A list that came out empty by mistake must not start the training.
  if (options.reject !== undefined && reject.length === 0) throw usage('--reject expects image numbers, found none');
  const fromFile = options.captions === undefined ? {} : await readCaptions(options.captions);
  if (options.captions !== undefined && Object.keys(fromFile).length === 0) {
    throw usage(`--captions ${options.captions} has no captions; to approve without, leave it out`);
  }
  const captions = [
    ...Object.entries(fromFile).map(([index, caption]) => ({ index: Number(index), caption })),
    ...(options.caption ?? []).map(captionOf),
  ];
  const approve = options.notYet === true ? false : reject.length === 0 || options.final === true;
  return {
    approve,
    ...(reject.length > 0 && { reject }),
    ...(captions.length > 0 && { captions }),
    ...(options.by !== undefined && { by: options.by }),
  };
}

function captionOf(text: string): { readonly index: number; readonly caption: string } {
  const [, index, caption] = /^(\d+)=(.*)$/s.exec(text) ?? [];
  if (index === undefined || caption === undefined) throw usage(`--caption expects number=text, found ${text}`);
  return { index: Number(index), caption };
}

function numberOf(text: string, option: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw usage(`${option} expects image numbers with commas, found ${text}`);
}

async function readCaptions(file: string): Promise<Readonly<Record<string, string>>> {
  try {
    return captionsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : describeError(error);
    throw usage(`--captions ${file}: expected a JSON object of texts by image number (${reason})`);
  }
}

function usage(message: string): TowerError {
  return new TowerError('USAGE', message, { next: 'For example: --reject 3,7 --caption 5="elara, 1girl, smiling"' });
}

function asTowerError(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowNotFoundError) {
    return new TowerError('NOT_FOUND', `no running workflow has the id ${workflowId}`, {
      next: '`tower character list` shows all runs.',
    });
  }
  if (!(error instanceof WorkflowUpdateFailedError)) return error;
  const { code, message, next } = failureOf(error.cause);
  return new TowerError(code, message, next === null ? {} : { next });
}
