import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';

import { createComfyuiClient } from '../../src/comfyui/client.js';
import type { RecoveryKind } from '../../src/comfyui/render/types.js';
import type { Dialect } from '../../src/sims/comfyui/dialect.js';
import type { FaultRule, RequestFault } from '../../src/sims/comfyui/faults.js';
import { RenderBench } from '../support/comfyui-render.js';

let bench: RenderBench;
afterEach(() => bench.close());

const onRequest = (route: string, fault: RequestFault, more: { after?: number; times?: number } = {}): FaultRule => ({
  ...{ route, fault },
  ...more,
});

interface Case {
  readonly what: string;
  readonly faults: readonly FaultRule[];
  readonly recoveries: readonly RecoveryKind[];
  readonly dialect?: Dialect;
}

const submit = (fault: RequestFault) => [onRequest('POST /prompt', fault, { after: 2 })];
const view = (fault: RequestFault) => [onRequest('GET /view', fault, { after: 2, times: 2 })];

/** Five images; each prompt must run once. */
const cases: readonly Case[] = [
  {
    what: 'a submit that never arrives',
    faults: submit({ kind: 'reset', when: 'before-acting' }),
    recoveries: ['answer-lost'],
  },
  {
    what: 'a submit whose answer is lost',
    faults: submit({ kind: 'reset', when: 'after-acting' }),
    recoveries: ['answer-lost'],
    dialect: 'A',
  },
  {
    what: 'a submit whose answer is cut',
    faults: submit({ kind: 'short-body', bytes: 9 }),
    recoveries: ['answer-lost'],
  },
  {
    what: "a proxy's page for an answer",
    faults: submit({ kind: 'replace', body: '<html>', contentType: 'text/html' }),
    recoveries: ['answer-lost'],
    dialect: 'N',
  },
  {
    what: 'a status of 500',
    faults: submit({ kind: 'status', status: 500, body: 'boom' }),
    recoveries: ['answer-lost'],
  },
  {
    what: 'events before the answer of their submit',
    faults: [onRequest('POST /prompt', { kind: 'answer-after-end' }, { times: 3 })],
    recoveries: [],
  },
  { what: 'a download that is cut', faults: view({ kind: 'short-body', bytes: 99 }), recoveries: ['repeated'] },
  { what: 'a download that breaks off', faults: view({ kind: 'reset', when: 'before-acting' }), recoveries: ['away'] },
  {
    what: 'a download with 500',
    faults: view({ kind: 'status', status: 500, body: 'boom' }),
    recoveries: ['repeated'],
  },
  {
    what: 'a history that is cut, when it is needed',
    faults: [
      { prompt: { after: 2 }, fault: { kind: 'unseen' } },
      onRequest('GET /history/{prompt_id}', { kind: 'short-body', bytes: 20 }),
    ],
    recoveries: ['away', 'silent-socket'],
    dialect: 'A',
  },
];

test.each(cases)('$what: every image once', async ({ faults, recoveries: expected, dialect = 'B' }) => {
  bench = await RenderBench.start({ dialect, settings: { renderMs: 10 }, faults });
  const { summary, recoveries } = await bench.render(await bench.images(5));
  expect(summary.delivered).toBe(5);
  expect(new Set(recoveries.map(({ kind }) => kind))).toEqual(new Set(expected));
  expect(bench.server.statistics().renders).toHaveLength(5);
});

describe('the history says {} of a prompt that has ended, and no event came', () => {
  test.each(['A', 'B'] as const)(
    'it is never taken for done; its image proves that it is (dialect %s)',
    async (dialect) => {
      bench = await RenderBench.start({
        dialect,
        settings: { renderMs: 10, wedged: 'events' },
        faults: [{ prompt: { after: 1 }, fault: { kind: 'history-hidden' } }],
      });
      const { summary, recoveries } = await bench.render(await bench.images(4));
      expect(summary.delivered).toBe(4);
      expect(recoveries).toContainEqual(expect.objectContaining({ kind: 'found-output', key: 'image-2' }));
      expect(bench.server.statistics().renders).toHaveLength(4);
    },
  );
});

describe('wedged', () => {
  test('sockets that stay open and tell nothing: new ones are tried, then prompts are polled', async () => {
    bench = await RenderBench.start({ settings: { renderMs: 20 } });
    const { summary, recoveries } = await bench.render(await bench.images(12), {
      onImage: ({ image }) => {
        if (image.key === 'image-2') bench.server.change({ wedged: 'events' });
        return Promise.resolve('accepted');
      },
    });
    expect(summary.delivered).toBe(12);
    expect(recoveries.map(({ kind }) => kind)).toEqual(['silent-socket', 'silent-socket']);
    expect(bench.server.statistics().renders).toHaveLength(12);
  });

  test('nothing answers for a while: waited for, and nothing is rendered twice', async () => {
    bench = await RenderBench.start({ settings: { renderMs: 20 } });
    const rendering = bench.render(await bench.images(8), {
      client: bench.impatientClient(),
      onImage: ({ image }) => {
        if (image.key === 'image-2') {
          bench.server.change({ wedged: 'http' });
          setTimeout(() => bench.server.change({ wedged: 'none' }), 900);
        }
        return Promise.resolve('accepted');
      },
    });
    const { summary, recoveries } = await rendering;
    expect(summary.delivered).toBe(8);
    expect(recoveries.map(({ kind }) => kind)).toContain('away');
    expect(bench.server.statistics().renders).toHaveLength(8);
  });

  test('nothing answers any more: COMFYUI_TIMEOUT after the limit', async () => {
    bench = await RenderBench.start();
    bench.server.change({ wedged: 'http' });
    const rendering = bench.render(await bench.images(2), { client: bench.impatientClient(), limits: { awayMs: 100 } });
    await expect(rendering).rejects.toMatchObject({ code: 'COMFYUI_TIMEOUT', retryable: true });
  });
});

test('away for good: COMFYUI_UNREACHABLE after the limit', async () => {
  bench = await RenderBench.start({ settings: { renderMs: 50 } });
  const rendering = bench.render(await bench.images(9), {
    limits: { awayMs: 300 },
    onImage: () => {
      void bench.server.restart(600_000);
      return Promise.resolve('accepted');
    },
  });
  await expect(rendering).rejects.toMatchObject({
    code: 'COMFYUI_UNREACHABLE',
    retryable: true,
    message: expect.stringMatching(/given up after/) as string,
  });
});

test('behind a proxy that knows no WebSocket, prompts are polled', async () => {
  bench = await RenderBench.start({ settings: { renderMs: 10 } });
  const proxy = createServer((incoming, outgoing) => {
    const { method, headers, url = '/' } = incoming;
    if (url.startsWith('/ws')) return outgoing.writeHead(404).end();
    const forwarded = request(new URL(url, bench.server.address), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    return incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`;
  try {
    const client = createComfyuiClient({ baseUrl, log: pino({ level: 'silent' }) });
    const { summary } = await bench.render(await bench.images(4), { client });
    expect(summary.delivered).toBe(4);
    expect(bench.server.statistics()).toMatchObject({ socketsOpened: 0, accepted: 4 });
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});
