import { setTimeout as delay } from 'node:timers/promises';

import type { FinishedPrompt, Job } from '../answers.js';
import type { ComfyuiClient } from '../client.js';

/** What ComfyUI knows of a prompt. */
export type Found =
  | { readonly state: 'pending' }
  | { readonly state: 'running' }
  | { readonly state: 'finished'; readonly prompt: FinishedPrompt }
  | { readonly state: 'unknown' };

/** Between the two looks before a prompt counts as unknown: it may be on its way from the queue to the history, or being checked. */
const secondLookMs = 200;

/**
 * Looks for a prompt in the queue, then in the history, and if both miss, once more (contracts/comfyui.md section 2.5). Where there is a
 * jobs API, that answers in one request.
 */
export async function lookUp(client: ComfyuiClient, promptId: string, signal: AbortSignal): Promise<Found> {
  const found = await lookOnce(client, promptId, signal);
  if (found.state !== 'unknown') return found;
  await delay(secondLookMs, undefined, { signal });
  return lookOnce(client, promptId, signal);
}

async function lookOnce(client: ComfyuiClient, promptId: string, signal: AbortSignal): Promise<Found> {
  const job = await client.job(promptId, { signal });
  if (job === 'unknown') return { state: 'unknown' };
  if (job !== 'unsupported') return ofJob(job);
  const { running, pending } = await client.queue({ signal });
  if (running.some((entry) => entry.promptId === promptId)) return { state: 'running' };
  if (pending.some((entry) => entry.promptId === promptId)) return { state: 'pending' };
  const prompt = await client.history(promptId, { signal });
  return prompt === undefined ? { state: 'unknown' } : { state: 'finished', prompt };
}

function ofJob({ status, outputs, execution_status: executionStatus }: Job): Found {
  if (status === 'pending') return { state: 'pending' };
  if (status === 'in_progress') return { state: 'running' };
  return { state: 'finished', prompt: { outputs: outputs ?? {}, status: executionStatus } };
}
