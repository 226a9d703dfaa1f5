import axios from 'axios';
import { z } from 'zod';

import { isAway, tenantFailed, tenantRequestTimeoutMs, type Tenant } from './tenant.js';

/** `GET /api/ps`: the loaded models. */
const loadedSchema = z.object({ models: z.array(z.object({ model: z.string().optional(), name: z.string() })) });

/** Ollama unloads a model when it is asked to generate nothing and to keep it for no time. */
export function ollamaTenant(baseUrl: string): Tenant {
  const name = `Ollama at ${baseUrl}`;
  const http = axios.create({ baseURL: baseUrl, timeout: tenantRequestTimeoutMs, maxRedirects: 0, proxy: false });
  return {
    name,
    makeRoom: async ({ signal, log }) => {
      try {
        const { models } = loadedSchema.parse((await http.get('/api/ps', { signal })).data);
        for (const { model, name: label } of models) {
          await http.post('/api/generate', { model: model ?? label, keep_alive: 0, stream: false }, { signal });
          log.info({ tenant: name, model: model ?? label }, 'model unloaded');
        }
        return 'freed';
      } catch (error) {
        signal.throwIfAborted();
        if (isAway(error)) return 'away';
        throw tenantFailed(name, error);
      }
    },
  };
}
