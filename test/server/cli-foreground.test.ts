import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa, type ResultPromise } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { scoreAnswer } from '../../src/syntx/scores/quality-score.js';
import { waitUntil } from '../support/wait-until.js';

let home: string;
let running: ResultPromise[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  running = [];
});

afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  await Promise.allSettled(running);
  await rm(home, { recursive: true, force: true });
});

/** A command of the built program, with its output as it comes. */
function start(...args: string[]): { child: ResultPromise; stdout: () => string; stderr: () => string } {
  const child = execa(process.execPath, [join(packageRoot, 'dist', 'client.js'), ...args, '--home', home], {
    env: { PATH: process.env['PATH'], HOME: home, NO_COLOR: '1' },
    extendEnv: false,
    reject: false,
  });
  running.push(child);
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.on('data', (chunk: Buffer) => (said[stream] += chunk.toString()));
  return { child, stdout: () => said.stdout, stderr: () => said.stderr };
}

describe('tower sim signz', () => {
  async function serve(...options: string[]): Promise<{ child: ResultPromise; address: string; keyFile: string }> {
    const { child, stdout } = start('sim', 'signz', '--json', ...options);
    const line = await waitUntil('the address', () => stdout().includes('\n') && stdout());
    const ready = JSON.parse(line) as { simulated: boolean; address: string; keyFiles: { tower: string } };
    expect(ready.simulated).toBe(true);
    return { child, address: ready.address, keyFile: ready.keyFiles.tower };
  }

  it('serves until Ctrl-C with keys that only their owner can read, the same ones each time', async () => {
    const first = await serve();
    expect((await stat(first.keyFile)).mode & 0o777).toBe(0o600);
    const key = (await readFile(first.keyFile, 'utf8')).trim();
    const list = (address: string, apiKey: string) =>
      fetch(`${address}/data/list_new_batches`, { headers: { 'X-API-Key': apiKey } });
    expect((await list(first.address, key)).status).toBe(200);
    expect((await list(first.address, 'another')).status).toBe(401);
    first.child.kill('SIGINT');
    expect((await first.child).exitCode).toBe(0);

    const second = await serve();
    expect((await list(second.address, key)).status).toBe(200);
  });

  it('does wrong what a fault plan says, and refuses a plan that it does not understand', async () => {
    const plan = join(home, 'faults.json');
    await writeFile(plan, '[{"route": "/data/list_new_batches", "fault": {"kind": "status", "status": 503}}]');
    const { address, keyFile } = await serve('--faults', plan);
    const key = (await readFile(keyFile, 'utf8')).trim();
    const list = () => fetch(`${address}/data/list_new_batches`, { headers: { 'X-API-Key': key } });
    expect([(await list()).status, (await list()).status]).toEqual([503, 200]);

    await writeFile(plan, '[{"route": "/data/list_new_batches", "fault": {"kind": "earthquake"}}]');
    const { exitCode, stderr } = await start('sim', 'signz', '--faults', plan).child;
    expect(exitCode).toBe(2);
    expect(stderr).toContain('fault.kind');
  });

  it('says that the port is taken', async () => {
    const { address } = await serve();
    const { child } = start('sim', 'signz', '--port', new URL(address).port);
    const { exitCode, stderr } = await child;
    expect(exitCode).toBe(6);
    expect(stderr).toContain('PORT_TAKEN');
  });
});

describe('tower logs --follow', () => {
  it('shows new lines as they come; Ctrl-C is its ordinary end', async () => {
    const file = join(home, 'logs', 'tower.log');
    await mkdir(join(home, 'logs'));
    const { child, stdout, stderr } = start('logs', '--follow', '--json');
    // What is there before it looks would show without following.
    await waitUntil('the follower', () => stderr().includes('waiting for'));
    const line = `${JSON.stringify({ level: 'info', time: new Date().toISOString(), msg: 'fresh' })}\n`;
    await appendFile(file, line);
    await waitUntil('the line', () => stdout().includes('"fresh"'));
    child.kill('SIGINT');
    expect((await child).exitCode).toBe(0);
    expect(stdout()).toBe(line);
  });
});

describe('tower trainer path', () => {
  it('says how to build an environment that is missing, and takes a configured one', async () => {
    const missing = await start('trainer', 'path').child;
    expect(missing.exitCode).toBe(6);
    expect(missing.stderr).toContain('tower trainer install');
    const configured = await start('trainer', 'path', '--set', 'train.python=/usr/bin/python3').child;
    expect(configured).toMatchObject({ exitCode: 0, stdout: '/usr/bin/python3' });
  });
});

it('tower sim llm serves until Ctrl-C, with the faults of its plan', async () => {
  const plan = join(home, 'faults.json');
  await writeFile(plan, '[{ "fault": { "kind": "rate-limit" } }]');
  const { child, stdout } = start('sim', 'llm', '--json', '--faults', plan);
  const line = await waitUntil('the address', () => stdout().includes('\n') && stdout());
  const ready = JSON.parse(line) as { simulated: boolean; address: string };
  expect(ready.simulated).toBe(true);
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Robotik' }] });
  const complete = () => fetch(`${ready.address}/chat/completions`, { method: 'POST', body });
  expect((await complete()).status).toBe(429);
  expect(await (await complete()).json()).toMatchObject({ model: 'simulated-m' });
  child.kill('SIGINT');
  expect((await child).exitCode).toBe(0);
});

it('tower sim syntx serves until Ctrl-C, with the landscape, the defects and the faults that it is given', async () => {
  const given = async (name: string, content: unknown) => {
    const file = join(home, `${name}.json`);
    await writeFile(file, JSON.stringify(content));
    return [`--${name}`, file];
  };
  const { child, stdout } = start(
    ...['sim', 'syntx', '--json', '--latency', '0', '--directory', join(home, 'own')],
    ...(await given('landscape', { means: { '*': { casual: { bildung: 0 } } }, noise: 0, otherwise: 100 })),
    ...(await given('defects', { misplacedRoute: false, fallbackWrapper: null })),
    ...(await given('faults', [{ wrapper: 'sigma', fault: { kind: 'status', status: 503 } }])),
  );
  const line = await waitUntil('the address', () => stdout().includes('\n') && stdout());
  const ready = JSON.parse(line) as { simulated: boolean; address: string; directory: string };
  expect(ready).toMatchObject({ simulated: true, directory: join(home, 'own') });
  const ask = (wrapper: string, prompt: string) =>
    fetch(`${ready.address}/api/chat`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ prompt, mode: `syntex_wrapper_${wrapper}` }),
    });
  expect((await ask('sigma', 'casual bildung')).status).toBe(503);
  const scoreFor = async (prompt: string) => {
    const answer = (await (await ask('sigma', prompt)).json()) as { response: string; metadata: object };
    expect(answer.metadata).toMatchObject({ wrapper_chain: ['syntex_wrapper_sigma'], simulated: true });
    return scoreAnswer(answer.response)?.score.total_score ?? 0;
  };
  expect(await scoreFor('kreativ harmlos')).toBe(98);
  expect(await scoreFor('casual bildung')).toBeLessThan(20);
  expect(await (await ask('unknown', 'x')).json()).toMatchObject({ metadata: { wrapper_chain: [] } });
  child.kill('SIGINT');
  expect((await child).exitCode).toBe(0);
  expect((await readFile(join(home, 'own', 'calls.jsonl'), 'utf8')).trim().split('\n')).toHaveLength(4);
});
