import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { faultsFromRules } from '../../src/sims/signz-mind/faults.js';
import { failure, rule, withServer } from '../support/server-faults.js';
import { SignzWorld, towerKey } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

const uploadRoute = '/model/upload';

describe('model upload', () => {
  const version = 'adapter_ft_20250701_130000';

  async function model(bytes = randomBytes(300_000)) {
    const file = join(world.directory, 'model.zip');
    await writeFile(file, bytes);
    return { version, trainingDate: '2025-07-01', notes: 'Übung, automatisch', file };
  }

  it('sends exactly the contract’s parts in its order, with a known length', async () => {
    const upload = await model(Buffer.from('PK zip'));
    let wire = '';
    let headers: Record<string, unknown> = {};
    await withServer(
      (request, response) => {
        if (request.method === 'GET') {
          response.writeHead(404).end('{"detail":"Not Found"}');
          return;
        }
        headers = request.headers;
        request.setEncoding('utf8').on('data', (part: string) => (wire += part));
        request.on('end', () => response.end('{"message":"ok"}'));
      },
      (baseUrl) => world.clientWith({ baseUrl }).uploadModel(upload),
    );
    const boundary = /boundary=(.+)$/.exec(String(headers['content-type']))?.[1] ?? '';
    const parts = wire
      .split(`--${boundary}`)
      .slice(1, -1)
      .map((part) => part.slice(2, -2));
    expect(parts).toEqual([
      `Content-Disposition: form-data; name="model_version"\r\n\r\n${version}`,
      'Content-Disposition: form-data; name="training_date"\r\n\r\n2025-07-01',
      'Content-Disposition: form-data; name="notes"\r\n\r\nÜbung, automatisch',
      `Content-Disposition: form-data; name="model_file"; filename="${version}_tower_upload.zip"\r\n` +
        'Content-Type: application/zip\r\n\r\nPK zip',
    ]);
    expect(headers).toMatchObject({
      'content-length': String(Buffer.byteLength(wire)),
      'x-api-key': towerKey,
    });
    expect(headers).not.toHaveProperty('transfer-encoding');
  });

  it('stores the very bytes, and a repeat sends nothing again', async () => {
    const upload = await model();
    expect(await world.client.uploadModel(upload)).toMatchObject({ outcome: 'uploaded' });
    const stored = await readFile(join(world.serverDirectory, 'uploaded_models', `${version}.zip`));
    expect(stored.equals(await readFile(upload.file))).toBe(true);
    expect(await world.client.uploadModel(upload)).toMatchObject({ outcome: 'already-there' });
    expect(uploads()).toHaveLength(1);
  });

  it('W10: an accepted upload whose answer is lost is found on the server, not sent again', async () => {
    world.faults = faultsFromRules([rule(uploadRoute, { kind: 'reset', when: 'after-acting' })]);
    const { outcome, evidence } = await world.client.uploadModel(await model());
    expect(outcome).toBe('uploaded');
    expect(evidence).toContain('latest version');
    expect(uploads()).toHaveLength(1);
  });

  it.each([
    ['a key that may look', towerKey, 'latest version'],
    ['a key that may not', 'trainer-only-key', 'success status'],
  ])('W10: an accepted upload answered with a text is a success, with %s', async (_what, apiKey, seen) => {
    world.faults = faultsFromRules([rule(uploadRoute, { kind: 'text-answer', body: 'ok', contentType: 'text/plain' })]);
    const { outcome, evidence } = await world.clientWith({ apiKey }).uploadModel(await model());
    expect(outcome).toBe('uploaded');
    expect(evidence).toContain(seen);
    expect(uploads()).toHaveLength(1);
  });

  it('W10: where nobody may look, the same bytes again are no second model', async () => {
    const client = world.clientWith({ apiKey: 'trainer-only-key' });
    world.faults = faultsFromRules([rule(uploadRoute, { kind: 'reset', when: 'after-acting' })]);
    const upload = await model();
    expect(await failure(client.uploadModel(upload))).toMatchObject({ retryable: true });
    expect(await client.uploadModel(upload)).toMatchObject({ outcome: 'uploaded' });
    expect((await readdir(join(world.serverDirectory, 'uploaded_models'))).sort()).toEqual([
      `${version}.json`,
      `${version}.zip`,
    ]);
  });

  it('a web page for an answer is no success', async () => {
    world.faults = faultsFromRules([rule(uploadRoute, { kind: 'replace', body: '<html>', contentType: 'text/html' })]);
    expect(await failure(world.client.uploadModel(await model()))).toMatchObject({ code: 'SERVER_ANSWER_INVALID' });
  });

  it('W9: a conflict is a success for the same bytes and a fault for others', async () => {
    const upload = await model();
    await world.client.uploadModel(upload);
    // A newer model hides this one from the look before the upload.
    await world.client.uploadModel({ ...(await model(randomBytes(10))), version: 'adapter_ft_20250702_130000' });
    expect(await failure(world.client.uploadModel(upload))).toMatchObject({
      ...{ code: 'MODEL_VERSION_CONFLICT', retryable: false },
    });

    await world.client.uploadModel({ ...upload, version: 'adapter_ft_20250703_130000' });
    world.faults = faultsFromRules([
      rule(uploadRoute, { kind: 'status', status: 409 }),
      rule('/model/latest_version', { kind: 'status', status: 404 }),
    ]);
    const same = await world.client.uploadModel({ ...upload, version: 'adapter_ft_20250703_130000' });
    expect(same).toEqual({ outcome: 'already-there', evidence: 'the same bytes on the server' });
  });

  it('notices other bytes under its own version by the hash in the notes', async () => {
    const upload = await model();
    await world.client.uploadModel({ ...upload, notes: `sha256 ${'a'.repeat(64)}` });
    const error = await failure(world.client.uploadModel({ ...upload, notes: `sha256 ${'b'.repeat(64)}` }));
    expect(error.code).toBe('MODEL_VERSION_CONFLICT');
  });

  it('streams a large package from disk', async () => {
    const upload = await model(Buffer.alloc(96 * 1024 * 1024, 7));
    global.gc?.();
    const before = process.memoryUsage().rss;
    let peak = before;
    await world.client.uploadModel(upload, {
      onProgress: () => (peak = Math.max(peak, process.memoryUsage().rss)),
    });
    // The receiving server runs in this process, too.
    expect(peak - before).toBeLessThan(64 * 1024 * 1024);
  });

  function uploads() {
    return world.server.operations().filter(({ route, status }) => route === uploadRoute && status === 200);
  }
});
