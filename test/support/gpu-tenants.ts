import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TenantRequest {
  readonly at: number;
  /** Method, path and body. */
  readonly text: string;
}

/** A ComfyUI with a running job and an Ollama with a loaded model, as far as Tower talks to them, with what they were asked. */
export class GpuTenants {
  readonly requests: TenantRequest[] = [];
  readonly #servers: Server[] = [];

  static async start(): Promise<GpuTenants & { readonly comfyui: string; readonly ollama: string }> {
    const tenants = new GpuTenants();
    let looks = 0;
    const comfyui = await tenants.#serve((request) => {
      if (request !== 'GET /queue') return undefined;
      looks += 1;
      return { queue_running: looks === 1 ? [[1, 'job', {}, {}, []]] : [], queue_pending: [] };
    });
    const ollama = await tenants.#serve((request) =>
      request === 'GET /api/ps' ? { models: [{ name: 'llama:7b', model: 'llama:7b' }] } : { done: true },
    );
    return Object.assign(tenants, { comfyui, ollama });
  }

  close(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }

  async #serve(answer: (request: string) => unknown): Promise<string> {
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const what = `${request.method ?? ''} ${request.url ?? ''}`;
        this.requests.push({ at: Date.now(), text: `${what} ${body}`.trim() });
        const value = answer(what);
        response.end(value === undefined ? '' : JSON.stringify(value));
      });
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
}
