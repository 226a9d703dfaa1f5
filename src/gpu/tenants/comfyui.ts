import { setTimeout as delay } from 'node:timers/promises';

import axios from 'axios';
import { z } from 'zod';

import { isAway, tenantFailed, tenantRequestTimeoutMs, type Tenant } from './tenant.js';

/** `GET /queue` (contracts/comfyui.md section 3); the entries themselves do not matter here. */
const queueSchema = z.object({ queue_running: z.array(z.unknown()), queue_pending: z.array(z.unknown()) });

/**
 * ComfyUI frees its models by `POST /free` (contracts/comfyui.md section 3), which takes effect after the running job: so
 * that job is waited for first. Pending jobs would load the models again; they are reported, not deleted.
 */
export function comfyuiTenant(baseUrl: string, { pollMs = 1_000 }: { pollMs?: number } = {}): Tenant {
  const name = `ComfyUI at ${baseUrl}`;
  const http = axios.create({ baseURL: baseUrl, timeout: tenantRequestTimeoutMs, maxRedirects: 0, proxy: false });
  return {
    name,
    makeRoom: async ({ signal, log }) => {
      try {
        for (;;) {
          const { queue_running: running, queue_pending: pending } = queueSchema.parse(
            (await http.get('/queue', { signal })).data,
          );
          if (running.length === 0) {
            if (pending.length > 0)
              log.warn({ tenant: name, pending: pending.length }, 'jobs wait there; they may load models again');
            break;
          }
          log.info({ tenant: name }, 'waiting for its running job');
          await delay(pollMs, undefined, { signal });
        }
        // The answer is empty on success; nothing to parse.
        await http.post('/free', { unload_models: true, free_memory: true }, { signal });
        return 'freed';
      } catch (error) {
        signal.throwIfAborted();
        if (isAway(error)) return 'away';
        throw tenantFailed(name, error);
      }
    },
  };
}
