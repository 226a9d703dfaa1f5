import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { QueueAccess } from '../../src/activities/syntx/queue-access.js';
import type { WorkerEnvironment } from '../../src/activities/worker-environment.js';
import { configSchema } from '../../src/config/schema.js';
import type { Fault } from '../../src/sims/syntx/faults.js';
import { startSyntxService, type SyntxService } from '../../src/sims/syntx/server.js';
import { defaultRetryBudget, nextTry } from '../../src/syntx/wrapper/retry-budget.js';
import { WrapperClient, type WrapperClientOptions } from '../../src/syntx/wrapper/wrapper-client.js';
import { WrapperFault } from '../../src/syntx/wrapper/wrapper-faults.js';
import { failure, withServer } from '../support/server-faults.js';
import { waitUntil } from '../support/wait-until.js';

const prompt = 'Erkläre locker, was an Brettspielen reizt.';

let directory: string;
let service: SyntxService;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'syntx-wrapper-'));
  service = await startSyntxService({ directory, defects: { misplacedRoute: false } });
});
afterEach(async () => {
  await service.close();
  rmSync(directory, { recursive: true });
});

function client(options: Partial<WrapperClientOptions> = {}): WrapperClient {
  return new WrapperClient({ url: service.address, ...options });
}

async function faultOf(fault: Fault, options: Partial<WrapperClientOptions> = {}): Promise<WrapperFault> {
  service.faults = [{ times: 1, fault }];
  const error = await failure(client(options).ask(prompt, 'sigma'));
  if (!(error instanceof WrapperFault)) throw error;
  return error;
}

describe('a call', () => {
  it('names one wrapper, sends the bare prompt, and brings the raw answer', async () => {
    const answer = await client().ask(prompt, 'sigma');
    expect(answer).toMatchObject({ wrapperChain: ['syntex_wrapper_sigma'], response: expect.any(String) as string });
    expect(service.calls()).toMatchObject([{ path: '/api/chat', mode: 'syntex_wrapper_sigma', prompt }]);
  });

  it('sends what the original sends', async () => {
    const bodies: unknown[] = [];
    const answer = { response: 'x', metadata: { wrapper_chain: ['syntex_wrapper_sigma'] } };
    await withServer(
      (request, response) => {
        let body = '';
        request.on('data', (part: Buffer) => (body += part.toString()));
        request.on('end', () => {
          bodies.push(JSON.parse(body));
          response.end(JSON.stringify(answer));
        });
      },
      async (url) => {
        await client({ url: `${url}/` }).ask(prompt, 'sigma');
        await client({ url, parameters: { maxNewTokens: 2048 } }).ask(prompt, 'syntex_wrapper_sigma');
      },
    );
    const wire = { temperature: 0.3, top_p: 0.85, do_sample: true, include_init: false, include_terminology: false };
    expect(bodies).toEqual([
      { prompt, mode: 'syntex_wrapper_sigma', max_new_tokens: 1024, ...wire },
      { prompt, mode: 'syntex_wrapper_sigma', max_new_tokens: 2048, ...wire },
    ]);
  });

  it('ends at once when it is cancelled', async () => {
    service.faults = [{ times: 1, fault: { kind: 'silence' } }];
    const cancel = new AbortController();
    const asked = client().ask(prompt, 'sigma', { signal: cancel.signal });
    asked.catch(() => undefined);
    await waitUntil('the call', () => service.calls().length === 1);
    cancel.abort(new Error('cancelled by a person'));
    await expect(asked).rejects.toThrow('cancelled by a person');
  });

  it('refuses an address that is none', () => {
    expect(() => client({ url: 'localhost:8001' })).toThrow(/expected an http or https address/);
  });
});

describe('the path', () => {
  it('that answers 422 is left for the one that works, once and for all', async () => {
    service.defects = { ...service.defects, misplacedRoute: true };
    const one = client();
    await one.ask(prompt, 'sigma');
    await one.ask(`${prompt} 2`, 'sigma');
    expect(service.calls().map(({ path }) => path)).toEqual(['/resonanz/chat', '/resonanz/chat']);
    // The second call did not try the broken path again.
    service.faults = [{ path: '/api/chat', times: 1, fault: { kind: 'status', status: 500, detail: 'x' } }];
    service.defects = { ...service.defects, misplacedRoute: false };
    await one.ask(`${prompt} 3`, 'sigma');
  });

  it('is left by calls at the same time, each of which gets its answer', async () => {
    service.defects = { ...service.defects, misplacedRoute: true };
    const one = client();
    const answers = await Promise.all([1, 2, 3, 4].map((number) => one.ask(`${prompt} ${number}`, 'sigma')));
    expect(answers).toHaveLength(4);
    expect(new Set(service.calls().map(({ path }) => path))).toEqual(new Set(['/resonanz/chat']));
  });

  it('that was left is used again once the service is mended and has no other', async () => {
    const paths: string[] = [];
    let mended = false;
    await withServer(
      (request, response) => {
        paths.push(request.url ?? '');
        request.resume();
        const works = (request.url === '/api/chat') === mended;
        response.statusCode = works ? 200 : mended ? 404 : 422;
        response.end(JSON.stringify({ response: 'x', metadata: { wrapper_chain: ['syntex_wrapper_sigma'] } }));
      },
      async (url) => {
        const one = client({ url });
        for (let number = 1; number <= 2; number++) await one.ask(prompt, 'sigma');
        mended = true;
        for (let number = 1; number <= 2; number++) await one.ask(prompt, 'sigma');
      },
    );
    const [chat, working] = ['/api/chat', '/resonanz/chat'];
    expect(paths).toEqual([chat, working, working, working, chat, chat]);
  });

  it('is remembered by a whole worker process, not by one job', async () => {
    service.defects = { ...service.defects, misplacedRoute: true };
    const config = configSchema.parse({ syntx: { queue: directory, wrapper: { url: service.address } } });
    const access = new QueueAccess({ config } as WorkerEnvironment);
    await access.wrapper.ask(prompt, 'sigma');
    service.defects = { ...service.defects, misplacedRoute: false };
    await access.wrapper.ask(prompt, 'sigma');
    expect(service.calls().map(({ path }) => path)).toEqual(['/resonanz/chat', '/resonanz/chat']);
  });

  it('of one’s own is the only one', async () => {
    service.defects = { ...service.defects, misplacedRoute: true };
    expect(await failure(client({ path: '/api/chat' }).ask(prompt, 'sigma'))).toMatchObject({
      ...{ code: 'WRAPPER_REFUSED', retryable: false },
      message: expect.stringContaining('filename_base') as string,
    });
  });

  it('is not blamed for a request that is wrong at both', async () => {
    const error = await failure(client({ parameters: { maxNewTokens: 9999 } }).ask(prompt, 'sigma'));
    expect(error).toMatchObject({
      code: 'WRAPPER_REFUSED',
      message: expect.stringContaining('max_new_tokens') as string,
    });
    await client().ask(prompt, 'sigma');
    expect(service.calls().map(({ path }) => path)).toEqual(['/api/chat']);
  });
});

describe('a fault', () => {
  const status = (code: number, detail = 'simulated fault', headers?: Record<string, string>): Fault => ({
    ...{ kind: 'status', status: code, detail, headers },
  });
  it.each<[string, Fault, object]>([
    [
      '429',
      status(429),
      {
        code: 'WRAPPER_OVERLOADED',
        upstreamError: expect.stringMatching(/^HTTPError: 429 Client Error: Too Many Requests for url: http/) as string,
      },
    ],
    ['502', status(502), { code: 'WRAPPER_OVERLOADED', upstreamError: 'HTTPError: Server Error 502' }],
    ['503', status(503, 'x', { 'retry-after': '7' }), { code: 'WRAPPER_OVERLOADED', retryAfterMs: 7000 }],
    ['504', status(504), { code: 'WRAPPER_TIMED_OUT', upstreamError: 'HTTPError: Server Error 504' }],
    [
      '500',
      status(500, 'name is not defined'),
      { code: 'WRAPPER_FAILED', upstreamError: 'HTTPError: Server Error 500' },
    ],
    ['500 when the model is away', status(500, 'All connection attempts failed'), { code: 'WRAPPER_UNREACHABLE' }],
    ['500 without a detail', status(500, ''), { code: 'WRAPPER_TIMED_OUT' }],
    ['501', status(501), { code: 'WRAPPER_FAILED' }],
    [
      '404',
      status(404),
      {
        code: 'WRAPPER_REFUSED',
        retryable: false,
        upstreamError: expect.stringMatching(/^HTTPError: 404 Client Error: Not Found/) as string,
      },
    ],
    ['413', status(413), { code: 'WRAPPER_REFUSED', retryable: false }],
    [
      'a redirect',
      status(307, 'x', { location: 'http://example.invalid/' }),
      { code: 'WRAPPER_REFUSED', retryable: false },
    ],
    [
      'a broken connection',
      { kind: 'reset' },
      { code: 'WRAPPER_UNREACHABLE', upstreamError: expect.stringMatching(/^Connection failed: /) as string },
    ],
    ['a cut body', { kind: 'short-body', bytes: 20 }, { code: 'WRAPPER_UNREACHABLE' }],
    [
      'a login page',
      { kind: 'replace', body: '<html>', contentType: 'text/html' },
      {
        code: 'WRAPPER_ANSWER_INVALID',
        retryable: false,
        upstreamError: expect.stringMatching(/^JSONDecodeError: /) as string,
      },
    ],
    [
      'an answer without `response`',
      { kind: 'replace', body: '{"metadata":{}}', contentType: 'application/json' },
      { code: 'WRAPPER_ANSWER_INVALID', upstreamError: 'ValueError: Invalid response format' },
    ],
    [
      'another wrapper',
      { kind: 'chain', chain: ['syntex_wrapper_deepsweep (fallback)'] },
      { code: 'WRAPPER_MISMATCH', retryable: false },
    ],
    ['no wrapper', { kind: 'chain', chain: [] }, { code: 'WRAPPER_MISMATCH' }],
    ['a service that does not say which wrapper', { kind: 'chain', chain: null }, { code: 'WRAPPER_MISMATCH' }],
  ])('%s has its class', async (_name, fault, expected) => {
    expect(await faultOf(fault)).toMatchObject(expected);
  });

  it('of a mistyped wrapper is told from a score', async () => {
    expect(await failure(client().ask(prompt, 'sgima'))).toMatchObject({
      code: 'WRAPPER_MISMATCH',
      message: expect.stringContaining(
        'asked for syntex_wrapper_sgima, the service used [syntex_wrapper_deepsweep (fallback)]',
      ) as string,
    });
  });

  it('of a service that says very much of itself is told in some lines', async () => {
    const chain = Array.from({ length: 10_000 }, (_, index) => `wrapper ${index} \ud83d`);
    const fault = await faultOf({ kind: 'chain', chain });
    expect(fault).toMatchObject({
      code: 'WRAPPER_MISMATCH',
      message: expect.stringContaining('asked for syntex_wrapper_sigma, the service used [wrapper 0') as string,
    });
    for (const text of [fault.message, fault.detail, fault.upstreamError, JSON.stringify(fault.details)]) {
      expect(text.length).toBeLessThan(700);
      expect(Buffer.from(text).toString()).toBe(text);
    }
  });

  it('an answer that nobody could read back from the queue is none', async () => {
    const body = (length: number) =>
      JSON.stringify({ response: 'x'.repeat(length), metadata: { wrapper_chain: ['syntex_wrapper_sigma'] } });
    const answer = (length: number): Fault => ({
      ...{ kind: 'replace', body: body(length), contentType: 'application/json' },
    });
    expect(await faultOf(answer(2 ** 20))).toMatchObject({
      ...{ code: 'WRAPPER_ANSWER_INVALID', retryable: false },
      message: 'POST /api/chat: expected an answer of at most 1 MiB, found more',
    });
    service.faults = [{ times: 1, fault: answer(2 ** 19) }];
    expect((await client().ask(prompt, 'sigma')).response).toHaveLength(2 ** 19);
  });

  it('a silent service is timed out as a whole, also while it sends', async () => {
    expect(await faultOf({ kind: 'silence' }, { timeoutMs: 100 })).toMatchObject({
      ...{ code: 'WRAPPER_TIMED_OUT', retryable: true, upstreamError: 'Timeout after 0s' },
    });
    const dripping = withServer(
      (_request, response) => {
        const drip = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(drip));
      },
      (url) => failure(client({ url, timeoutMs: 200 }).ask(prompt, 'sigma')),
    );
    expect(await dripping).toMatchObject({ code: 'WRAPPER_TIMED_OUT' });
  });

  it('a service that is down refuses, and is reached when it is back', async () => {
    expect(await faultOf({ kind: 'down', forMs: 1500 })).toMatchObject({ code: 'WRAPPER_UNREACHABLE' });
    const one = client();
    expect(await failure(one.ask(prompt, 'sigma'))).toMatchObject({
      ...{ code: 'WRAPPER_UNREACHABLE', message: expect.stringContaining('ECONNREFUSED') as string },
    });
    await waitUntil('the service to be back', () =>
      one.ask(prompt, 'sigma').then(
        () => true,
        () => false,
      ),
    );
  });
});

describe('the budget', () => {
  const after = (...kinds: string[]) => nextTry(kinds, defaultRetryBudget);

  it('backs off from connection faults and overload, together, and gives up', () => {
    const kinds = Array.from({ length: 9 }, (_, index) =>
      index % 2 === 0 ? 'WRAPPER_UNREACHABLE' : 'WRAPPER_OVERLOADED',
    );
    const pauses = kinds.map((_kind, index) => after(...kinds.slice(0, index + 1)));
    expect(pauses.map((next) => (next.retry ? next.afterMs / 1000 : 'over'))).toEqual([
      ...[15, 30, 60, 120, 240, 480, 600, 600],
      'over',
    ]);
    expect(nextTry(['WRAPPER_OVERLOADED'], defaultRetryBudget, 90_000)).toEqual({ retry: true, afterMs: 90_000 });
  });

  it('tries a time-out once more, late, and another fault of the service once', () => {
    expect(after('WRAPPER_TIMED_OUT')).toEqual({ retry: true, afterMs: 1_800_000 });
    expect(after('WRAPPER_TIMED_OUT', 'WRAPPER_TIMED_OUT')).toEqual({ retry: false });
    expect(after('WRAPPER_FAILED')).toMatchObject({ retry: true });
    expect(after('WRAPPER_TIMED_OUT', 'WRAPPER_FAILED')).toMatchObject({ retry: true });
    expect(after('WRAPPER_FAILED', 'WRAPPER_TIMED_OUT', 'WRAPPER_FAILED')).toEqual({ retry: false });
  });

  it('never repeats what will not change', () => {
    for (const kind of ['WRAPPER_REFUSED', 'WRAPPER_ANSWER_INVALID', 'WRAPPER_MISMATCH']) {
      expect(after(kind)).toEqual({ retry: false });
    }
  });
});
