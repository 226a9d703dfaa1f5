import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { untilListed } from '../../src/activities/character/until-listed.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';

const loraName = 'elara_lora-v1.safetensors';
const log = pino({ level: 'silent' });

/** What a ComfyUI answers to a request for its list: names, or nothing, as one that is restarted. */
let answer: (sinceFirstMs: number, request: number) => readonly string[] | 'gone';
let server: Server;
let requests: number;

beforeEach(async () => {
  requests = 0;
  let first: number | undefined;
  server = createServer((request, response) => {
    first ??= performance.now();
    requests += 1;
    const answered = answer(performance.now() - first, requests);
    if (answered === 'gone') request.socket.destroy();
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(answered));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

function listed(limits: { readonly awayMs: number; readonly limitMs: number }): Promise<void> {
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createComfyuiClient({ baseUrl, log });
  return untilListed({ client, loraName, ...limits }, { signal: AbortSignal.timeout(20_000), log });
}

it('a ComfyUI that goes and comes back without end does not list the LoRA either (W25)', async () => {
  answer = (_, request) => (request % 2 === 1 ? [] : 'gone');
  await expect(listed({ awayMs: 1_000, limitMs: 1_000 })).rejects.toMatchObject({
    ...{ code: 'LORA_NOT_LISTED', retryable: true },
    details: { loraName, listed: 0 },
  });
  expect(requests).toBeGreaterThan(4);
});

it('the time that it is away is not time in which it does not list the LoRA', async () => {
  let answers = 0;
  answer = (sinceFirstMs, request) => {
    // Away for longer than it may go without listing it, and it needs one more look after that.
    if (request > 1 && sinceFirstMs < 2_500) return 'gone';
    answers += 1;
    return answers < 3 ? [] : [loraName];
  };
  await listed({ awayMs: 10_000, limitMs: 1_500 });
});

it('one that answers and does not list it is told of', async () => {
  answer = () => ['other.safetensors'];
  await expect(listed({ awayMs: 10_000, limitMs: 600 })).rejects.toMatchObject({ code: 'LORA_NOT_LISTED' });
});
