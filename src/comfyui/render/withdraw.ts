import { setTimeout as delay } from 'node:timers/promises';

import { describeError } from '../../errors.js';
import type { Log } from '../../log/logger.js';
import type { ComfyuiClient, ServerFacts } from '../client.js';
import type { TrackedPrompt } from './tracked-prompt.js';

const endLimitMs = 10_000;
const pollMs = 200;

/**
 * Takes prompts that have not begun out of the queue; those that have begun are left alone. ComfyUI does not say what it
 * removed, so its queue is read before and after.
 */
export async function withdrawPending(
  client: ComfyuiClient,
  prompts: readonly TrackedPrompt[],
  signal: AbortSignal,
): Promise<void> {
  const waiting = prompts.filter((prompt) => prompt.accepted && prompt.startedAt === undefined);
  if (waiting.length === 0) return;
  const before = await client.queue({ signal });
  const pending = waiting.filter(({ promptId }) => before.pending.some((entry) => entry.promptId === promptId));
  if (pending.length === 0) return;
  await client.deleteQueued(
    pending.map(({ promptId }) => promptId),
    { signal },
  );
  const after = await client.queue({ signal });
  const left = new Set([...after.running, ...after.pending].map(({ promptId }) => promptId));
  for (const prompt of pending) {
    if (left.has(prompt.promptId) || prompt.startedAt !== undefined) continue;
    prompt.withdrawn = true;
    prompt.wake();
  }
}

/** Takes every prompt out of ComfyUI: pending ones are deleted, an own running one is interrupted. Waits for its end, within limits. */
export async function clearPrompts(
  client: ComfyuiClient,
  promptIds: readonly string[],
  { server, log }: { readonly server: ServerFacts; readonly log: Log },
): Promise<void> {
  if (promptIds.length === 0) return;
  const signal = AbortSignal.timeout(endLimitMs);
  try {
    await client.deleteQueued(promptIds, { signal });
    const interrupted = new Set<string>();
    for (;;) {
      const { running } = await client.queue({ signal });
      const own = running.filter(({ promptId }) => promptIds.includes(promptId));
      if (own.length === 0) return;
      for (const { promptId } of own) {
        if (!interrupted.has(promptId)) await interruptOwn(client, promptId, { server, signal });
        interrupted.add(promptId);
      }
      await delay(pollMs, undefined, { signal });
    }
  } catch (error) {
    log.warn({ promptIds, error: describeError(error) }, 'prompts may still be in ComfyUI');
  }
}

/**
 * Interrupts one prompt, never another's. The jobs API does it in one step; else ComfyUI compares the id and then interrupts,
 * and before 0.3.57 it would not even compare: there the prompt is left to end by itself.
 */
export async function interruptOwn(
  client: ComfyuiClient,
  promptId: string,
  { server, signal }: { readonly server: ServerFacts; readonly signal: AbortSignal },
): Promise<void> {
  if ((await client.cancelJob(promptId, { signal })) !== 'unsupported') return;
  if (comparesInterruptedId(server.version)) await client.interrupt(promptId, { signal });
}

/** Whether `POST /interrupt` heeds the id, from 0.3.57 on. */
export function comparesInterruptedId(version: string): boolean {
  const [major, minor, patch] = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) return false;
  return major > 0 || minor > 3 || (minor === 3 && patch >= 57);
}
