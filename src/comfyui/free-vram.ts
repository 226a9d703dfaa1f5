import { setTimeout as delay } from 'node:timers/promises';

import type { ServiceOptions } from '../service-options.js';
import type { ComfyuiClient } from './client.js';

/**
 * Has ComfyUI unload its models and drop its caches (contracts/comfyui.md section 3). `POST /free` takes effect after the
 * running prompt: so that is waited for first. Waiting prompts would load the models again; they are reported, not deleted.
 * There is no word of completion: whoever needs the memory watches the driver.
 */
export async function freeVram(
  client: ComfyuiClient,
  { signal, log, pollMs = 1_000 }: Pick<ServiceOptions, 'signal' | 'log'> & { readonly pollMs?: number },
): Promise<void> {
  const name = `ComfyUI at ${client.baseUrl}`;
  for (;;) {
    const { running, pending } = await client.queue({ signal });
    if (running.length === 0) {
      if (pending.length > 0) {
        log.warn({ tenant: name, pending: pending.length }, 'jobs wait there; they may load models again');
      }
      break;
    }
    log.info({ tenant: name }, 'waiting for its running job');
    await delay(pollMs, undefined, { signal });
  }
  await client.free({}, { signal });
}
