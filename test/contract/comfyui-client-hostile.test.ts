import { existsSync } from 'node:fs';
import { mkdtemp, rm, unlink } from 'node:fs/promises';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';

import { createComfyuiClient, type ComfyuiClient } from '../../src/comfyui/client.js';
import type { OutputFile } from '../../src/comfyui/answers.js';
import type { Dialect } from '../../src/sims/comfyui/dialect.js';
import { graphFor, RenderBench } from '../support/comfyui-render.js';
import { waitUntil } from '../support/wait-until.js';

const silenceMs = 150;
/** 70 MiB in 70 KiB. */
const bomb = gzipSync(Buffer.alloc(70 * 2 ** 20), { level: 1 });
const output: OutputFile = { filename: 'a_00001_.png', subfolder: 'run', type: 'output' };

/** A client of a server that answers as it likes. */
async function facing(answer: RequestListener, limitMs = silenceMs): Promise<ComfyuiClient> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const timeouts = { requestMs: limitMs, submitMs: limitMs, downloadMs: limitMs };
  return createComfyuiClient({ baseUrl, log: pino({ level: 'silent' }), timeouts });
}

/** A byte now and then, for ever. */
function trickle(response: ServerResponse): void {
  const timer = setInterval(() => response.write(' '), silenceMs / 5);
  response.on('close', () => clearInterval(timer));
}

/** As much as is taken, for ever. */
function flood(response: ServerResponse): void {
  const part = Buffer.alloc(1 << 20, ' ');
  const more = () => {
    if (!response.destroyed) response.write(part, more);
  };
  more();
}

test('of a history with huge graphs of others, as much is read as fits', async () => {
  const asked: (string | null)[] = [];
  const client = await facing((request, response) => {
    const items = new URL(request.url ?? '', 'http://comfyui').searchParams.get('max_items');
    asked.push(items);
    if (Number(items) > 4) response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    else response.writeHead(200).end('{"a": {}, "b": {}}');
  }, 5_000);
  expect(await client.recentHistory(64)).toEqual(['a', 'b']);
  expect(asked).toEqual(['64', '16', '4']);
});

describe('answers', () => {
  test.each<{
    what: string;
    answer: RequestListener;
    limitMs?: number;
    code: string;
    retryable: boolean;
    says: RegExp;
  }>([
    {
      what: 'that trickle',
      answer: (_, response) => trickle(response.writeHead(200)),
      ...{ code: 'COMFYUI_TIMEOUT', retryable: true, says: /trickles|no byte/ },
    },
    {
      what: 'without end',
      answer: (_, response) => flood(response.writeHead(200)),
      // Much of it takes longer than this server may be silent elsewhere.
      ...{
        limitMs: 5_000,
        code: 'COMFYUI_ANSWER_INVALID',
        retryable: false,
        says: /at most 64 MiB, found a larger one/,
      },
    },
    {
      what: 'that grow when they are unpacked',
      answer: (_, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
      },
      ...{ limitMs: 5_000, code: 'COMFYUI_ANSWER_INVALID', retryable: false, says: /a larger one/ },
    },
    {
      what: 'of another form',
      answer: (_, response) => void response.end('{"queue_running": 7, "queue_pending": "none"}'),
      ...{ code: 'COMFYUI_ANSWER_INVALID', retryable: false, says: /queue_running/ },
    },
    {
      what: 'that point elsewhere',
      answer: (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/login' }).end(),
      ...{ code: 'COMFYUI_REFUSED', retryable: false, says: /status 302/ },
    },
    ...[502, 503, 504].map((status) => ({
      what: `of a proxy without ComfyUI, ${status}`,
      answer: ((_, response) => void response.writeHead(status).end('<h1>Bad Gateway</h1>')) satisfies RequestListener,
      ...{ code: 'COMFYUI_UNREACHABLE', retryable: true, says: /a proxy reaches no ComfyUI/ },
    })),
  ])('$what: $code', async ({ answer, limitMs, code, retryable, says }) => {
    const client = await facing(answer, limitMs);
    const message = expect.stringMatching(says) as string;
    await expect(client.queue()).rejects.toMatchObject({ code, retryable, message });
  });

  test('the queue of 10,000 strangers is read in its order, whatever their numbers and graphs are', async () => {
    const strange =
      '[NaN, "nan", {"1": {"is_changed": [NaN], "inputs": {"text": "NaN, \\"Infinity\\""}}}, [], -Infinity]';
    const entries = Array.from(
      { length: 10_000 },
      (_, index) => `[${10_000 - index}, "p${10_000 - index}", {}, {}, []]`,
    );
    const client = await facing((_, response) =>
      response.end(`{"queue_running": [], "queue_pending": [${[strange, ...entries].join(',')}]}`),
    );
    const { pending } = await client.queue();
    expect(pending.map(({ promptId }) => promptId).filter((_, index) => index % 2_500 === 0)).toEqual([
      ...['p1', 'p2501', 'p5001', 'p7501', 'nan'],
    ]);
  });

  test.each(['ftp://127.0.0.1', 'comfyui', 'http://127.0.0.1/?x=1', 'http://me:hunter2@127.0.0.1:8188'])(
    'the address %s is refused, and no password is repeated',
    (baseUrl) => {
      const create = () => createComfyuiClient({ baseUrl, log: pino({ level: 'silent' }) });
      expect(create).toThrow(expect.objectContaining({ code: 'COMFYUI_URL_INVALID' }));
      expect(create).not.toThrow(/hunter2/);
    },
  );

  test('a class of nodes is not found by the name of a property that every object has', async () => {
    const client = await facing((_, response) => response.end('{}'));
    for (const name of ['constructor', 'toString', '__proto__']) {
      expect(await client.objectInfo(name)).toBeUndefined();
    }
  });
});

describe('downloads', () => {
  let directory: string;
  let target: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tower-comfyui-'));
    target = join(directory, 'image.png');
  });
  afterEach(() => rm(directory, { recursive: true }));

  test.each<{ what: string; answer: RequestListener; code: string }>([
    { what: 'that trickle', answer: (_, response) => trickle(response.writeHead(200)), code: 'COMFYUI_TIMEOUT' },
    {
      what: 'that claim a petabyte',
      answer: (_, response) => void response.writeHead(200, { 'content-length': 2 ** 50 }).write('x'),
      code: 'COMFYUI_OUTPUT_TOO_LARGE',
    },
    {
      what: 'that fail without end',
      answer: (_, response) => flood(response.writeHead(500)),
      code: 'COMFYUI_FAILED',
    },
    {
      what: 'that fail and trickle',
      answer: (_, response) => trickle(response.writeHead(404)),
      code: 'COMFYUI_NOT_FOUND',
    },
  ])('$what: $code, and no file', async ({ answer, code }) => {
    const client = await facing(answer);
    await expect(client.view(output, target)).rejects.toMatchObject({ code });
    expect(existsSync(target)).toBe(false);
  });

  test('the name of an output leads nowhere: the file lies where it was asked for', async () => {
    const asked: string[] = [];
    const client = await facing((request, response) => {
      asked.push(request.url ?? '');
      response.end('picture');
    });
    const hostile = { filename: '../../../etc/cron.d/x', subfolder: '../..', type: 'output' } as const;
    expect(await client.view(hostile, target)).toMatchObject({ bytes: 7 });
    expect(asked).toEqual(['/view?filename=..%2F..%2F..%2Fetc%2Fcron.d%2Fx&subfolder=..%2F..&type=output']);
  });
});

describe('beside others in ComfyUI', () => {
  let bench: RenderBench;
  afterEach(() => bench.close());

  test.each<Dialect>(['A', 'B'])(
    'whose graphs are no JSON in queue and history: all images are delivered (dialect %s)',
    async (dialect) => {
      bench = await RenderBench.start({ dialect, settings: { renderMs: 250 } });
      const [source] = (await bench.render(await bench.images(1))).images;
      const image = await bench.client.uploadImage({ path: source?.path ?? '', name: 'gone.png' });
      const first = { promptId: '11111111-1111-4111-8111-111111111111', graph: await graphFor('first', { seed: 8 }) };
      await bench.client.submit(first);
      const promptId = '22222222-2222-4222-8222-222222222222';
      const graph = {
        '1': { class_type: 'LoadImage', inputs: { image } },
        '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'copy' } },
      };
      await bench.client.submit({ promptId, graph });
      // ComfyUI cannot tell any more whether it has changed, and writes down NaN.
      await unlink(join(bench.directory, 'comfyui', 'input', image));
      const ended = await waitUntil('its end', () => bench.client.history(promptId));
      expect(ended.status?.status_str).toBe('error');
      const history = await fetch(`${bench.server.address}/history`);
      expect(await history.text()).toContain('"is_changed":NaN');
      // Neither is the queue with a number that Python takes for one.
      const post = (body: object) =>
        fetch(`${bench.server.address}/prompt`, { method: 'POST', body: JSON.stringify(body) });
      expect((await post({ prompt: await graphFor('odd', { seed: 9 }), number: 'nan' })).status).toBe(200);
      expect((await post({ prompt: await graphFor('odder', { seed: 10 }), number: 'nan' })).status).toBe(200);
      expect(await (await fetch(`${bench.server.address}/queue`)).text()).toContain('[NaN,');
      bench.server.change({ renderMs: 5 });
      const { summary } = await bench.render(await bench.images(3, 'other'));
      expect(summary).toMatchObject({ delivered: 3, recoveries: {} });
    },
  );

  test('who carry our metadata: their prompt is left in the queue', async () => {
    bench = await RenderBench.start({ settings: { renderMs: 300 } });
    await bench.client.submit({
      promptId: '11111111-1111-4111-8111-111111111111',
      graph: await graphFor('first', { seed: 8 }),
    });
    const promptId = '22222222-2222-4222-8222-222222222222';
    const pngInfo = { tower: { run: 'run-1', key: 'image-1', prompt_id: '33333333-3333-4333-8333-333333333333' } };
    await bench.client.submit({ promptId, graph: await graphFor('copy', { seed: 9 }), pngInfo });
    const { summary } = await bench.render(await bench.images(1));
    expect(summary).toMatchObject({ delivered: 1, recoveries: {} });
    expect((await bench.client.history(promptId))?.status?.status_str).toBe('success');
  });

  test('behind a proxy that says 502 while ComfyUI is away: waited for', async () => {
    const fault = { kind: 'status', status: 502, body: 'Bad Gateway' } as const;
    bench = await RenderBench.start({ faults: [{ route: 'GET /queue', times: 6, fault }] });
    const { summary } = await bench.render(await bench.images(2));
    expect(summary).toMatchObject({ delivered: 2, recoveries: { away: 1 } });
  });
});
