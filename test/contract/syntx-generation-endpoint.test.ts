import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';

import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { failure, withServer } from '../support/server-faults.js';
import { llmKey, LlmWorld, plan } from '../support/llm-world.js';

function* repeat<Value>(value: Value): Generator<Value> {
  for (;;) yield value;
}

let world: LlmWorld;
beforeEach(async () => {
  world = await LlmWorld.create();
});
afterEach(() => world.server.close());

it('takes an empty field for a refusal for none', async () => {
  const text = 'Ein Prompt.';
  const answer = { model: 'm', choices: [{ finish_reason: 'stop', message: { content: text, refusal: '' } }] };
  await withServer(
    (_, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(answer)),
    async (address) => world.generate(plan('Yoga'), { baseUrl: `${address}/v1` }),
  );
  expect(world.made).toMatchObject([{ text, refusals: 0 }]);
});

it('without a key hides nothing of what the endpoint says', async () => {
  const said = 'none of the models is loaded';
  await withServer(
    (_, response) => response.writeHead(404).end(JSON.stringify({ error: { message: said } })),
    async (address) => {
      const asked = world.generate(plan('Yoga'), { baseUrl: `${address}/v1` }, { apiKey: undefined });
      expect((await failure(asked)).message).toContain(said);
    },
  );
});

it('never shows the key', async () => {
  await withServer(
    (_, response) => response.writeHead(401).end(JSON.stringify({ error: { message: `no such key ${llmKey}` } })),
    async (address) => {
      const error = await failure(world.generate(plan('Yoga'), { baseUrl: `${address}/v1` }));
      expect(error.message).toContain('[key]');
      expect(JSON.stringify([error, error.stack, world.calls])).not.toContain(llmKey);
    },
  );
});

it.each([
  ['{"detail":"the server is pinned to tiny"}', 'the server is pinned to tiny'],
  ['<html>bad gateway</html>', 'bad gateway'],
  ['', 'no reason given'],
])('says what servers say that word their errors otherwise: %s', async (body, said) => {
  await withServer(
    (_, response) => response.writeHead(400).end(body),
    async (address) => {
      const error = await failure(world.generate(plan('Yoga'), { baseUrl: `${address}/v1` }));
      expect(error.message).toMatch(/Error: 400 /);
      expect(error.message).toContain(said);
    },
  );
});

it('goes through the proxy of the environment, not for an endpoint on this machine', async () => {
  const asked: string[] = [];
  await withServer(
    (request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(400).end('of the proxy');
    },
    async (proxy) => {
      vi.stubEnv('http_proxy', proxy).stubEnv('no_proxy', '');
      const error = await failure(world.generate(plan('Yoga'), { baseUrl: 'http://endpoint.invalid/v1' }));
      expect(error.message).toContain('of the proxy');
      await world.generate(plan('Yoga'));
    },
  ).finally(() => vi.unstubAllEnvs());
  expect(asked).toEqual(['http://endpoint.invalid/v1/chat/completions']);
  expect(world.made).toHaveLength(1);
});

it.each(['as it is', 'compressed'])('reads no answer without end, %s', async (form) => {
  await withServer(
    (request, response) => {
      request.resume();
      response.writeHead(200, form === 'compressed' ? { 'content-encoding': 'gzip' } : {});
      const endless = Readable.from(repeat(Buffer.alloc(2 ** 16, 'x')));
      if (form === 'compressed') endless.pipe(createGzip()).pipe(response);
      else endless.pipe(response);
    },
    async (address) => {
      expect(await failure(world.generate(plan('Yoga'), { baseUrl: `${address}/v1` }))).toMatchObject({
        ...{ code: 'LLM_ANSWER_INVALID', details: { counts: { other: 1 } } },
        message: expect.stringContaining('expected an answer of at most 4 MiB, found more') as string,
      });
    },
  );
});

it('makes no prompt of a text that went on and on; it is paid, and the others are made', async () => {
  const usage = { prompt_tokens: 10, completion_tokens: 100_000 };
  await withServer(
    (request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => {
        const content = body.includes('Yoga') ? 'Om. '.repeat(30_000) : 'Ein Prompt.';
        const answer = { model: 'm', usage, choices: [{ finish_reason: 'stop', message: { content } }] };
        response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
      });
    },
    async (address) => {
      const { failed, made } = await world.generate(plan('Yoga', 'Robotik'), { baseUrl: `${address}/v1` });
      expect(made).toEqual([1]);
      expect(failed).toMatchObject([
        {
          failure: 'long',
          error: 'Error: the text has 120000 characters, more than 100000',
          paid: expect.any(Number) as number,
        },
      ]);
      expect(failed[0]!.paid).toBeGreaterThan(0);
      expect(JSON.stringify(world.calls).length).toBeLessThan(10_000);
    },
  );
});

it('follows no redirect: the key goes nowhere else', async () => {
  const location = `${world.server.address}/elsewhere`;
  await withServer(
    (_, response) => response.writeHead(307, { location }).end(),
    async (address) => {
      const error = await failure(world.generate(plan('Yoga'), { baseUrl: `${address}/v1` }));
      expect(error.message).toContain(`it points to ${location}`);
    },
  );
});

it('without a key for OpenAI itself a run ends before it begins', async () => {
  const error = await failure(world.generate(plan('a', 'b'), { baseUrl: undefined }, { apiKey: undefined }));
  expect(error).toMatchObject({ code: 'LLM_KEY_MISSING', retryable: false });
  expect(world.calls).toEqual([]);
});

it('an endpoint of one’s own needs no key', async () => {
  const own = await LlmWorld.create({ apiKey: undefined });
  try {
    await own.generate(plan('Yoga'), {}, { apiKey: undefined });
    expect(own.made).toHaveLength(1);
  } finally {
    await own.server.close();
  }
});

it('one that the environment names is the endpoint, and needs no key either', async () => {
  const own = await LlmWorld.create({ apiKey: undefined });
  vi.stubEnv('OPENAI_BASE_URL', own.server.address);
  try {
    await own.generate(plan('Yoga'), { baseUrl: undefined }, { apiKey: undefined });
    expect(own.made).toHaveLength(1);
  } finally {
    vi.unstubAllEnvs();
    await own.server.close();
  }
});

it('an address where nobody listens is unreachable, with the reason', async () => {
  const baseUrl = await withServer(
    () => undefined,
    (address) => Promise.resolve(`${address}/v1`),
  );
  const error = await failure(world.generate(plan('Yoga'), { baseUrl }));
  expect(error).toMatchObject({ code: 'LLM_UNREACHABLE', retryable: true });
  expect(error.message).toMatch(/Connection error: connect ECONNREFUSED/);
});
