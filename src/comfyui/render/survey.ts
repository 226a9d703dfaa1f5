import type { ComfyuiClient } from '../client.js';
import type { Patience } from './patience.js';
import { markIn } from './provenance.js';

/** More than one process can have left behind. */
const recentPrompts = 64;

/** What an earlier attempt at the run has left in ComfyUI. */
export interface Survey {
  /** Prompts that run or have ended, of whomever: they are not submitted again. */
  readonly known: ReadonlySet<string>;
  /** Own prompts that waited in the queue and have been taken out. */
  readonly cleared: readonly string[];
}

/** Looks at queue and history once, so that no image needs a look-up before its first submit. */
export async function surveyPrompts(
  { client, patience, signal }: { client: ComfyuiClient; patience: Patience; signal: AbortSignal },
  runKey: string,
): Promise<Survey> {
  return patience.with(async () => {
    let queue = await client.queue({ signal });
    const cleared = queue.pending
      .filter(({ pngInfo }) => markIn(pngInfo)?.run === runKey)
      .map((entry) => entry.promptId);
    if (cleared.length > 0) {
      await client.deleteQueued(cleared, { signal });
      queue = await client.queue({ signal });
    }
    const finished = await client.recentHistory(recentPrompts, { signal });
    return { known: new Set([...queue.running.map(({ promptId }) => promptId), ...finished.keys()]), cleared };
  });
}
