import { inspect } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { describeError } from '../../src/errors.js';
import { SignzMindClient } from '../../src/signz-mind/server/signz-mind-client.js';
import { faultsFromRules } from '../../src/sims/signz-mind/faults.js';
import { failure, rule, withServer } from '../support/server-faults.js';
import { snippet, SignzWorld, towerKey } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const listRoute = '/data/list_new_batches';

describe('listing', () => {
  it('gives names in ascending order, also under a base address with a slash at its end', async () => {
    const names = [await world.upload(snippet()), await world.upload(snippet()), await world.upload(snippet())];
    const client = world.clientWith({ baseUrl: `${world.server.address}/` });
    expect(await client.listNewBatches()).toEqual({ names: [...names].sort(), refused: [] });
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, 401],
    ['an empty key', { apiKey: '' }, 401],
    ['a key without the role', { apiKey: 'bert-key' }, 403],
  ])('%s is rejected and not worth a retry', async (_what, changes, status) => {
    const error = await failure(world.clientWith(changes).listNewBatches());
    expect(error).toMatchObject({ code: 'SERVER_KEY_REJECTED', retryable: false, details: { status } });
    expect(error.next).toContain('ROLE_TOWER_TRAINER');
  });

  it('a 422 for the missing header is a rejected key, too', async () => {
    const body = JSON.stringify({ detail: [{ type: 'missing', loc: ['header', 'X-API-Key'], msg: 'Field required' }] });
    const error = await withServer(
      (_request, response) => response.writeHead(422, { 'content-type': 'application/json' }).end(body),
      (baseUrl) => failure(world.clientWith({ baseUrl }).listNewBatches()),
    );
    expect(error).toMatchObject({ code: 'SERVER_KEY_REJECTED', retryable: false });
  });

  it.each([
    ['an HTML page', '<html>Login</html>', 'text/html'],
    ['a list', '["a.jsonl"]', 'application/json'],
    ['null for the names', '{"new_batch_files": null}', 'application/json'],
    ['numbers for names', '{"new_batch_files": [5]}', 'application/json'],
  ])('%s is no answer', async (_what, body, contentType) => {
    world.faults = faultsFromRules([rule(listRoute, { kind: 'replace', body, contentType })]);
    expect(await failure(world.client.listNewBatches())).toMatchObject({
      code: 'SERVER_ANSWER_INVALID',
      retryable: false,
    });
  });

  it('an object without the key is an empty list, as for the original', async () => {
    world.faults = faultsFromRules([rule(listRoute, { kind: 'replace', body: '{}', contentType: 'application/json' })]);
    expect(await world.client.listNewBatches()).toEqual({ names: [], refused: [] });
  });

  it('W8: server errors, cuts and silence are retryable, and Retry-After is passed on', async () => {
    const client = world.clientWith({ timeouts: { requestMs: 300 } });
    world.faults = faultsFromRules([
      rule(listRoute, { kind: 'status', status: 503, headers: { 'retry-after': '7' } }),
      rule(listRoute, { kind: 'reset', when: 'before-acting' }),
      rule(listRoute, { kind: 'silence' }),
    ]);
    expect(await failure(client.listNewBatches())).toMatchObject({
      ...{ code: 'SERVER_FAILED', retryable: true, retryAfterMs: 7000, details: { status: 503 } },
    });
    expect(await failure(client.listNewBatches())).toMatchObject({ code: 'SERVER_UNREACHABLE', retryable: true });
    expect(await failure(client.listNewBatches())).toMatchObject({ code: 'SERVER_TIMEOUT', retryable: true });
    expect((await client.listNewBatches()).names).toEqual([]);
  });

  it('a server that is not there is unreachable', async () => {
    const error = await failure(world.clientWith({ baseUrl: 'http://127.0.0.1:9' }).listNewBatches());
    expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE', retryable: true });
  });

  it('W15: names that could leave the directory are refused, the others kept', async () => {
    const body = JSON.stringify({
      new_batch_files: ['../evil.jsonl', 'a/b.jsonl', 'x?.jsonl', 'ok_1.jsonl', '.jsonl', `${'n'.repeat(250)}.jsonl`],
    });
    world.faults = faultsFromRules([rule(listRoute, { kind: 'replace', body, contentType: 'application/json' })]);
    const { names, refused } = await world.client.listNewBatches();
    expect(names).toEqual(['ok_1.jsonl']);
    expect(refused).toHaveLength(5);
    expect(await failure(world.client.downloadBatch('../evil.jsonl', world.batchDirectory))).toMatchObject({
      code: 'BATCH_NAME_INVALID',
    });
  });
});

describe('redirects', () => {
  it('are followed within the origin and never across origins', async () => {
    let strangerSaw: string | undefined;
    await withServer(
      (request, response) => {
        strangerSaw = String(request.headers['x-api-key'] ?? 'no key');
        response.end('{"new_batch_files":["stolen.jsonl"]}');
      },
      (stranger) =>
        withServer(
          (request, response) => {
            if (request.url === '/near/data/list_new_batches') response.writeHead(307, { location: '/here' }).end();
            else if (request.url === '/here') response.end('{"new_batch_files":["near.jsonl"]}');
            else response.writeHead(302, { location: `${stranger}/x` }).end();
          },
          async (address) => {
            const near = await world.clientWith({ baseUrl: `${address}/near` }).listNewBatches();
            expect(near.names).toEqual(['near.jsonl']);
            const error = await failure(world.clientWith({ baseUrl: `${address}/far` }).listNewBatches());
            expect(error).toMatchObject({ code: 'SERVER_REDIRECTED', retryable: false });
            expect(error.message).toContain(stranger);
          },
        ),
    );
    expect(strangerSaw).toBeUndefined();
  });
});

it('the key is in no error, however it is looked at', async () => {
  const echo = await withServer(
    (request, response) => response.writeHead(400).end(`bad key ${String(request.headers['x-api-key'])}`),
    (baseUrl) => failure(world.clientWith({ baseUrl }).listNewBatches()),
  );
  const gone = await failure(world.clientWith({ baseUrl: 'http://127.0.0.1:9' }).listNewBatches());
  const rejected = await failure(world.clientWith({ apiKey: `${towerKey}-x` }).listNewBatches());
  for (const error of [echo, gone, rejected]) {
    const views = [
      describeError(error),
      inspect(error, { depth: 20, showHidden: true }),
      JSON.stringify(error),
      error.stack,
    ];
    expect(views.join('\n')).not.toContain(towerKey);
  }
  const client = new SignzMindClient({ baseUrl: world.server.address, apiKey: towerKey });
  expect(inspect(client, { depth: 20, showHidden: true }) + JSON.stringify(client)).not.toContain(towerKey);
});

it.each(['ftp://x', 'nonsense', 'http://user:secret@host'])('refuses the base address %s', (baseUrl) => {
  expect(() => world.clientWith({ baseUrl })).toThrow(expect.objectContaining({ code: 'SERVER_URL_INVALID' }));
});
