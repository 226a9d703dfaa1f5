import type { ComfyuiClient } from '../../comfyui/client.js';
import { markIn } from '../../comfyui/render/provenance.js';
import { clearPrompts } from '../../comfyui/render/withdraw.js';
import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';

/**
 * Ends what a run still has in ComfyUI's queue, by the mark that its prompts carry: waiting ones are taken out, a running one
 * is interrupted. A ComfyUI that is away has forgotten them all when it comes back.
 *
 * @returns how many there were.
 */
export async function clearPromptsOf(
  client: ComfyuiClient,
  run: string,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<number> {
  try {
    const { running, pending } = await client.queue({ signal });
    const own = [...running, ...pending].filter(({ pngInfo }) => isOf(markIn(pngInfo)?.run, run));
    if (own.length === 0) return 0;
    const server = await client.serverFacts({ signal });
    await clearPrompts(
      client,
      own.map(({ promptId }) => promptId),
      { server, log },
    );
    return own.length;
  } catch (error) {
    if (!(error instanceof TowerError) || error.code !== 'COMFYUI_UNREACHABLE') throw error;
    log.info({ run }, 'ComfyUI is away: nothing of the run is in its queue');
    return 0;
  }
}

/** Images carry the run, proof images a name below it. */
function isOf(mark: string | undefined, run: string): boolean {
  return mark === run || (mark?.startsWith(`${run}/`) ?? false);
}
