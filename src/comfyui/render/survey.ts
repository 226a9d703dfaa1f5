import type { ComfyuiClient } from '../client.js';
import type { Patience } from './patience.js';
import { markIn } from './provenance.js';

/** More than one process can have left behind. */
const recentPrompts = 64;

/** What an earlier attempt at the run has left in ComfyUI. */
export interface Survey {
  /** Prompts that run or have ended, of whomever: they are not submitted again. */
  readonly known: ReadonlySet<string>;
  /** Those of them that have ended, well or badly. */
  readonly ended: ReadonlySet<string>;
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
      .filter(({ pngInfo, promptId }) => {
        const mark = markIn(pngInfo);
        // Whoever renders with the metadata of one of our images is somebody else.
        return mark?.run === runKey && mark.prompt_id === promptId;
      })
      .map((entry) => entry.promptId);
    if (cleared.length > 0) {
      await client.deleteQueued(cleared, { signal });
      queue = await client.queue({ signal });
    }
    const finished = await client.recentHistory(recentPrompts, { signal });
    const known = new Set([...queue.running.map(({ promptId }) => promptId), ...finished]);
    return { known, ended: new Set(finished), cleared };
  });
}
