import { createComfyuiClient } from '../../comfyui/client.js';
import { freeVram } from '../../comfyui/free-vram.js';
import { isAway, tenantFailed, tenantRequestTimeoutMs, type Tenant } from './tenant.js';

/** ComfyUI frees its models by `POST /free` after its running job. */
export function comfyuiTenant(baseUrl: string, { pollMs }: { pollMs?: number } = {}): Tenant {
  const name = `ComfyUI at ${baseUrl}`;
  return {
    name,
    makeRoom: async ({ signal, log }) => {
      try {
        const client = createComfyuiClient({ baseUrl, log, timeouts: { requestMs: tenantRequestTimeoutMs } });
        await freeVram(client, { signal, log, pollMs });
        return 'freed';
      } catch (error) {
        signal.throwIfAborted();
        if (isAway(error)) return 'away';
        throw tenantFailed(name, error);
      }
    },
  };
}
