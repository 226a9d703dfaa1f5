import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { faultsFromRules, type Fault } from '../../src/sims/signz-mind/faults.js';
import { failure, rule, withServer } from '../support/server-faults.js';
import { snippet, SignzWorld } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const downloadRoute = '/data/download_batch/{name}';
const markRoute = '/data/mark_batch_processed/{name}';

describe('download', () => {
  it('keeps the exact bytes under the exact name, also one with letters beyond ASCII', async () => {
    const content = `${snippet()}\n${snippet({ uuid: 'u2', content: 'naïve = "µ"\n' })}`;
    const name = await world.upload(content, undefined, 'büro 7/x');
    expect(name).toMatch(/^batch_user_4_büro_7_x_\d{8}_\d{6}_\d{6}\.jsonl$/);
    const file = await world.client.downloadBatch(name, world.batchDirectory);
    expect(await readFile(join(world.batchDirectory, name), 'utf8')).toBe(content);
    expect(file.bytes).toBe(Buffer.byteLength(content));
  });

  it('W2: stores the decoded body when a proxy compresses', async () => {
    const content = snippet();
    const name = await world.upload(content);
    world.faults = faultsFromRules([rule(downloadRoute, { kind: 'gzip' })]);
    await world.client.downloadBatch(name, world.batchDirectory);
    expect(await readFile(join(world.batchDirectory, name), 'utf8')).toBe(content);
  });

  it('W2: a compressed body whose stream is cut is no download, although its length is right', async () => {
    const whole = gzipSync(snippet().repeat(50));
    const cut = whole.subarray(0, whole.length - 20);
    const error = await withServer(
      (_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': cut.length }).end(cut),
      (baseUrl) => failure(world.clientWith({ baseUrl }).downloadBatch('a.jsonl', world.batchDirectory)),
    );
    expect(error).toMatchObject({ code: 'DOWNLOAD_INCOMPLETE', retryable: true });
    expect(await readdir(world.batchDirectory)).toEqual([]);
  });

  it('W8: a body that is cut leaves nothing behind and is retryable', async () => {
    const name = await world.upload(snippet().repeat(20));
    world.faults = faultsFromRules([rule(downloadRoute, { kind: 'short-body', bytes: 700 })]);
    const error = await failure(world.client.downloadBatch(name, world.batchDirectory));
    expect(error).toMatchObject({ code: 'DOWNLOAD_INCOMPLETE', retryable: true });
    expect(await readdir(world.batchDirectory)).toEqual([]);
  });

  it('a body without length that ends inside a line may have been cut', async () => {
    const error = await withServer(
      (request, response) => {
        response.socket?.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${snippet().slice(0, 100)}`);
        request.resume();
      },
      (baseUrl) => failure(world.clientWith({ baseUrl }).downloadBatch('a.jsonl', world.batchDirectory)),
    );
    expect(error).toMatchObject({ code: 'DOWNLOAD_INCOMPLETE', retryable: true });
  });

  it('a body that stalls times out', async () => {
    const error = await withServer(
      (_request, response) => void response.writeHead(200, { 'content-length': 1000 }).write('{"type":'),
      (baseUrl) =>
        failure(
          world.clientWith({ baseUrl, timeouts: { downloadMs: 250 } }).downloadBatch('a.jsonl', world.batchDirectory),
        ),
    );
    expect(error).toMatchObject({ code: 'SERVER_TIMEOUT', retryable: true });
  });

  it('a batch over the limit is refused, counted after decoding', async () => {
    const name = await world.upload(snippet({ content: 'x'.repeat(200_000) }));
    world.faults = faultsFromRules([rule(downloadRoute, { kind: 'gzip' })]);
    const client = world.clientWith({ maxBatchBytes: 100_000 });
    expect(await failure(client.downloadBatch(name, world.batchDirectory))).toMatchObject({ code: 'BATCH_TOO_LARGE' });
    expect(existsSync(join(world.batchDirectory, name))).toBe(false);
  });

  it('ends when it is aborted', async () => {
    const abort = new AbortController();
    const work = withServer(
      (_request, response) => {
        response.writeHead(200, { 'content-length': 1000 }).write('{"type":');
        abort.abort(new Error('cancelled'));
      },
      (baseUrl) =>
        world.clientWith({ baseUrl }).downloadBatch('a.jsonl', world.batchDirectory, { signal: abort.signal }),
    );
    await expect(work).rejects.toThrow(/cancelled|aborted/);
  });
});

describe('mark', () => {
  it('marks once; a repeat after a lost answer finds it done', async () => {
    const name = await world.upload(snippet());
    world.faults = faultsFromRules([rule(markRoute, { kind: 'reset', when: 'after-acting' })]);
    expect(await failure(world.client.markBatchProcessed(name))).toMatchObject({ retryable: true });
    expect(await world.client.markBatchProcessed(name)).toBe('already-marked');
    expect(await readdir(join(world.serverDirectory, 'data_batches', 'processed_by_tower'))).toEqual([name]);
  });

  it.each([
    ['204', { kind: 'empty-answer' }],
    ['a text', { kind: 'text-answer', body: 'ok', contentType: 'text/plain' }],
    ['a list', { kind: 'text-answer', body: '[]', contentType: 'application/json' }],
  ] satisfies [string, Fault][])(
    'W10: an answer of %s counts when the listing no longer has the name',
    async (_what, fault) => {
      const name = await world.upload(snippet());
      world.faults = faultsFromRules([rule(markRoute, fault)]);
      expect(await world.client.markBatchProcessed(name)).toBe('marked');
    },
  );

  it('a success page that did nothing is no success', async () => {
    const name = await world.upload(snippet());
    world.faults = faultsFromRules([rule(markRoute, { kind: 'replace', body: '<html>', contentType: 'text/html' })]);
    expect(await failure(world.client.markBatchProcessed(name))).toMatchObject({ code: 'SERVER_ANSWER_INVALID' });
  });
});
