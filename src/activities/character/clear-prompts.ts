import type { ComfyuiClient } from '../../comfyui/client.js';
import { markIn } from '../../comfyui/render/provenance.js';
import { clearPrompts } from '../../comfyui/render/withdraw.js';
import { describeError, TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';

/**
 * Ends what a run still has in ComfyUI's queue, by the mark that its prompts carry: waiting ones are taken out, a running one
 * is interrupted. A ComfyUI that is away has forgotten them all when it comes back; one that gives no good answer must not keep
 * a run from its end, and what is left in its queue is found by the next rendering.
 *
 * @returns how many there were; `null` when ComfyUI did not say, and some may be left.
 */
export async function clearPromptsOf(
  client: ComfyuiClient,
  renderKey: string,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<number | null> {
  try {
    const { running, pending } = await client.queue({ signal });
    const own = [...running, ...pending].filter(({ pngInfo, promptId }) => {
      const mark = markIn(pngInfo);
      // Whoever renders with the metadata of one of our images is somebody else.
      return isOf(mark?.run, renderKey) && mark?.prompt_id === promptId;
    });
    if (own.length === 0) return 0;
    const server = await client.serverFacts({ signal });
    await clearPrompts(
      client,
      own.map(({ promptId }) => promptId),
      { server, log },
    );
    return own.length;
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    if (error.code === 'COMFYUI_UNREACHABLE') {
      log.info({ renderKey }, 'ComfyUI is away: nothing of the run is in its queue');
      return 0;
    }
    const failure = { renderKey, error: describeError(error) };
    log.warn(failure, 'what the run has in the queue of ComfyUI could not be taken out');
    return null;
  }
}

/** {@link clearPromptsOf} for somebody who cannot wait for a ComfyUI that does not answer within so many milliseconds. */
export async function clearPromptsWithin(
  client: ComfyuiClient,
  renderKey: string,
  { limitMs, log }: Pick<ServiceOptions, 'log'> & { readonly limitMs: number },
): Promise<number | null> {
  const signal = AbortSignal.timeout(limitMs);
  try {
    return await clearPromptsOf(client, renderKey, { signal, log });
  } catch (error) {
    if (!signal.aborted) throw error;
    log.warn({ renderKey, limitMs }, 'ComfyUI did not say in time what the run has in its queue');
    return null;
  }
}

/** Images carry the key, proof images a name below it. */
function isOf(mark: string | undefined, renderKey: string): boolean {
  return mark === renderKey || (mark?.startsWith(`${renderKey}/`) ?? false);
}
