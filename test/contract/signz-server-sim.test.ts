import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import axios, { type AxiosResponse } from 'axios';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { faultsFromRules } from '../../src/sims/signz-mind/faults.js';
import { readOperations } from '../../src/sims/signz-mind/operation-log.js';
import { startSignzMindServer } from '../../src/sims/signz-mind/server.js';
import { roles } from '../../src/sims/signz-mind/users.js';
import { editorKey, snippet, SignzWorld, towerKey } from '../support/signz-mind.js';

let world: SignzWorld;
beforeEach(async () => {
  world = await SignzWorld.create();
});
afterEach(() => world.close());

interface Call {
  readonly key?: string;
  readonly token?: string;
  readonly body?: unknown;
}

async function call(method: string, path: string, { key, token, body }: Call = {}): Promise<AxiosResponse<never>> {
  return axios.request<never>({
    ...{
      method,
      url: `${world.server.address}${path}`,
      data: body,
      proxy: false,
      maxRedirects: 0,
      validateStatus: null,
    },
    headers: {
      ...(key !== undefined && { 'X-API-Key': key }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
  });
}

function form(parts: Record<string, string | Blob>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(parts)) data.append(name, value);
  return data;
}

describe('authentication', () => {
  const list = '/data/list_new_batches';

  it('tells a missing, an empty, a wrong and a powerless key apart', async () => {
    const missing = await call('GET', list);
    expect(missing.status).toBe(422);
    expect(missing.data).toMatchObject({ detail: [{ type: 'missing', loc: ['header', 'X-API-Key'] }, {}] });
    expect((await call('GET', list, { key: '' })).status).toBe(401);
    expect((await call('GET', list, { key: 'wrong' })).status).toBe(401);
    expect((await call('GET', list, { key: editorKey })).status).toBe(403);
    expect((await call('GET', list, { key: 'admin-key' })).status).toBe(200);
    expect((await call('GET', list, { key: towerKey })).headers['x-simulated']).toBe('true');
  });

  it('a bad key wins over missing fields', async () => {
    expect((await call('POST', '/data/upload_batch', { key: 'wrong', body: form({}) })).status).toBe(401);
  });

  it('keeps keys and passwords as salted hashes only', async () => {
    const text = await readFile(join(world.serverDirectory, 'users.json'), 'utf8');
    for (const secret of [towerKey, editorKey, 'admin-password']) expect(text).not.toContain(secret);
  });
});

describe('routes', () => {
  it.each([
    ['GET', '/', 404],
    ['GET', '/nothing', 404],
    ['POST', '/data/list_new_batches', 405],
    ['GET', '/data/list_new_batches/', 307],
  ])('%s %s is %i', async (method, path, status) => {
    const answer = await call(method, path, { key: towerKey });
    expect(answer.status).toBe(status);
    if (status === 307) expect(answer.headers['location']).toBe('/data/list_new_batches');
    else expect(answer.data).toHaveProperty('detail');
  });

  it('stores a batch under the real server’s name rule, never twice under one name', async () => {
    const names = await Promise.all([1, 2, 3].map(() => world.upload('anything', 'bert-key', 'PC 1/ü.x')));
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^batch_user_5_PC_1_ü_x_\d{8}_\d{6}_\d{6}\.jsonl$/);
    expect(await world.upload('x', undefined, '')).toMatch(/^batch_user_4__\d{8}_/);
  });

  it('asks for client_id and the file part, and fails like the real one on a name too long', async () => {
    const file = new Blob(['x']);
    const without = await call('POST', '/data/upload_batch', { key: editorKey, body: form({ batch_file: file }) });
    expect(without.data).toMatchObject({ detail: [{ loc: ['query', 'client_id'] }] });
    const path = '/data/upload_batch?client_id=a';
    expect((await call('POST', path, { key: editorKey, body: form({ other: file }) })).status).toBe(422);
    expect((await call('POST', path, { key: towerKey, body: form({ batch_file: file }) })).status).toBe(403);
    const long = `/data/upload_batch?client_id=${'c'.repeat(300)}`;
    const tooLong = await call('POST', long, { key: editorKey, body: form({ batch_file: file }) });
    expect(tooLong.status).toBe(500);
    expect(tooLong.data).toMatchObject({ detail: expect.stringContaining('ENAMETOOLONG') as string });
    expect(await readdir(join(world.serverDirectory, 'uploaded_models'))).toEqual([]);
  });

  it.each(['..%2Fusers.json', '%00', 'a%5Cb.jsonl'])('refuses the name %s with 400', async (name) => {
    expect((await call('GET', `/data/download_batch/${name}`, { key: towerKey })).status).toBe(400);
    expect((await call('POST', `/data/mark_batch_processed/${name}`, { key: towerKey })).status).toBe(400);
  });

  it('moves a marked batch and knows it no longer', async () => {
    const name = await world.upload(snippet());
    const path = `/data/mark_batch_processed/${encodeURIComponent(name)}`;
    expect((await call('POST', path, { key: towerKey })).data).toHaveProperty('message');
    expect((await call('POST', path, { key: towerKey })).status).toBe(404);
    expect((await call('GET', `/data/download_batch/${name}`, { key: towerKey })).status).toBe(404);
    expect((await call('GET', '/data/list_new_batches', { key: towerKey })).data).toEqual({ new_batch_files: [] });
  });

  it('keeps one model per version and serves the newest to its consumers', async () => {
    const upload = (version: string, content: string) =>
      call('POST', '/model/upload', {
        key: towerKey,
        body: form({ model_version: version, training_date: '2025-07-01', model_file: new Blob([content]) }),
      });
    expect((await call('GET', '/model/latest_version', { key: editorKey })).status).toBe(404);
    expect((await upload('v1', 'one')).data).toMatchObject({ model_version: 'v1' });
    expect((await upload('v2', 'two')).status).toBe(200);
    expect((await upload('v1', 'one')).status).toBe(200);
    expect((await upload('v1', 'other')).status).toBe(409);
    expect((await upload('../v', 'x')).status).toBe(400);
    expect((await call('POST', '/model/upload', { key: towerKey, body: form({ model_version: 'v' }) })).status).toBe(
      422,
    );
    expect((await call('GET', '/model/latest_version', { key: editorKey })).data).toEqual({
      latest_model_version: 'v2',
      metadata: { training_date: '2025-07-01', notes: null, upload_timestamp_utc: expect.any(String) as string },
    });
    expect((await call('GET', '/model/download/v1', { key: editorKey })).data).toBe('one');
    expect((await readdir(join(world.serverDirectory, 'uploaded_models'))).sort()).toEqual([
      ...['v1.json', 'v1.zip', 'v2.json', 'v2.zip'],
    ]);
  });
});

describe('administration', () => {
  async function token(): Promise<string> {
    const body = new URLSearchParams({ username: 'admin', password: 'admin-password' });
    return ((await call('POST', '/admin/token', { body })).data as { access_token: string }).access_token;
  }

  it('makes users whose key works, can be reset and ends with the user', async () => {
    const admin = await token();
    const body = { username: 'neu', password: 'p', roles: roles.tower };
    const created = await call('POST', '/admin/users', { token: admin, body });
    expect(created.status).toBe(201);
    const { user_id: id, api_key: key } = created.data as { user_id: number; api_key: string };
    expect(key).toHaveLength(43);
    expect((await call('POST', '/admin/users', { token: admin, body })).status).toBe(400);
    const works = async (candidate: string) => (await call('GET', '/data/list_new_batches', { key: candidate })).status;
    expect(await works(key)).toBe(200);

    const reset = await call('PUT', `/admin/users/${id}/reset-apikey`, { token: admin });
    const { new_api_key: second } = reset.data as { new_api_key: string };
    expect([await works(key), await works(second)]).toEqual([401, 200]);
    await call('PUT', `/admin/users/${id}/status`, { token: admin, body: { is_active: false } });
    expect(await works(second)).toBe(401);

    const users = (await call('GET', '/admin/users', { token: admin })).data as { username: string }[];
    expect(users.map(({ username }) => username)).toContain('neu');
    expect(JSON.stringify(users)).not.toContain('hash');
  });

  it('wants a token of an admin', async () => {
    const missing = await call('GET', '/admin/users');
    expect([missing.status, missing.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    const forged = (await token()).replace(/\.[^.]+$/, '.AAAA');
    expect((await call('GET', '/admin/users', { token: forged })).status).toBe(401);
    const wrong = new URLSearchParams({ username: 'admin', password: 'x' });
    expect((await call('POST', '/admin/token', { body: wrong })).status).toBe(401);
  });
});

it('writes every operation down, with the user and the fault, also for other processes', async () => {
  const name = await world.upload('12345');
  world.faults = faultsFromRules([
    { route: '/data/mark_batch_processed/{name}', times: 1, fault: { kind: 'reset', when: 'after-acting' } },
  ]);
  await call('POST', `/data/mark_batch_processed/${name}`, { key: towerKey }).catch(() => undefined);
  const operations = readOperations(world.serverDirectory);
  expect(operations).toEqual(world.server.operations());
  expect(operations).toMatchObject([
    { method: 'POST', route: '/data/upload_batch', status: 200, bytes: 5, user: 'ana', fault: null, simulated: true },
    { route: '/data/mark_batch_processed/{name}', name, status: 200, user: 'tower', fault: 'reset', simulated: true },
  ]);
});

it('goes on with its directory after a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tower-'));
  const users = [{ username: 'all', roles: [roles.admin], apiKey: 'k' }];
  const first = await startSignzMindServer({ directory, users });
  await axios.post(`${first.address}/data/upload_batch?client_id=a`, form({ batch_file: new Blob(['x']) }), {
    ...{ headers: { 'X-API-Key': 'k' }, proxy: false },
  });
  await first.close();
  const second = await startSignzMindServer({ directory, users });
  const { data } = await axios.get<{ new_batch_files: string[] }>(`${second.address}/data/list_new_batches`, {
    ...{ headers: { 'X-API-Key': 'k' }, proxy: false },
  });
  expect(data.new_batch_files).toHaveLength(1);
  await second.close();
  await rm(directory, { recursive: true, force: true });
});
