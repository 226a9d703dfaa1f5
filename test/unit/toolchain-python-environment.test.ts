import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { execa } from 'execa';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ensureTrainerEnvironment, findTrainerPython } from '../../src/toolchain/python-environment.js';
import type { EnvironmentProgress, TrainerEnvironmentInput } from '../../src/toolchain/build-environment.js';
import { findPython } from '../../src/toolchain/python-interpreter.js';
import { writeTinyWheel } from '../support/tiny-wheel.js';

const signal = new AbortController().signal;
const options = { signal, log: pino({ level: 'silent' }) };
const unreachable = 'http://127.0.0.1:9/whl/cpu';

let directory: string;
let wheels: string;
let input: TrainerEnvironmentInput & { requirementsPath: string };

/** A PyTorch as far as Tower looks at it: which build it is. */
function torch(version: string, cuda: string): { name: string; version: string; source: string } {
  return {
    name: 'torch',
    version,
    source: `class version: cuda = ${cuda}\n__version__ = ${JSON.stringify(version)}\n`,
  };
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-'));
  wheels = join(directory, 'wheels');
  await mkdir(wheels);
  vi.stubEnv('PIP_NO_INDEX', '1');
  vi.stubEnv('PIP_FIND_LINKS', wheels);
  vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
  const requirementsPath = join(directory, 'requirements.txt');
  await writeFile(requirementsPath, 'torch==2.13.0  # pinned\ntiny==1.0\n');
  await writeTinyWheel(wheels, { name: 'tiny', version: '1.0', source: 'answer = 42\n' });
  input = {
    device: 'cpu',
    cacheDirectory: join(directory, 'cache'),
    requirementsPath,
    probe: { args: ['-c', 'import tiny, torch; assert tiny.answer == 42'], cwd: directory },
    cpuIndexUrl: unreachable,
  };
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true, force: true });
});

async function foldersLeft(): Promise<string[]> {
  const names = await readdir(join(input.cacheDirectory, 'trainer')).catch(() => []);
  return names.filter((name) => !name.includes('.lock'));
}

describe('trainer environment', { timeout: 180_000 }, () => {
  it('is built once from the CPU build, by one of two that ask, and found afterwards', async () => {
    await writeTinyWheel(wheels, torch('2.13.0', '"13.0"'));
    await writeTinyWheel(wheels, torch('2.13.0+cpu', 'None'));
    await expect(findTrainerPython({ ...input, device: 'auto' })).rejects.toMatchObject({
      code: 'TRAINER_ENVIRONMENT_MISSING',
    });
    const progress: EnvironmentProgress[] = [];
    const both = await Promise.all(
      [1, 2].map(() => ensureTrainerEnvironment(input, { ...options, onProgress: (report) => progress.push(report) })),
    );
    expect(both.map(({ created }) => created).sort()).toEqual([false, true]);
    expect(both[0]?.versions).toMatchObject({ torch: '2.13.0+cpu', tiny: '1.0' });
    expect(new Set(progress.map(({ phase }) => phase))).toEqual(
      new Set(['wait', 'venv', 'torch', 'requirements', 'verify']),
    );

    const reports: EnvironmentProgress[] = [];
    const onProgress = (report: EnvironmentProgress) => reports.push(report);
    const again = await ensureTrainerEnvironment(input, { ...options, onProgress });
    expect(reports).toEqual([]);
    expect(again).toEqual({ ...both[0], created: false });
    expect(await findTrainerPython({ ...input, device: 'auto' })).toBe(again.python);
    await expect(findTrainerPython({ ...input, device: 'cuda' })).rejects.toThrow('training on cuda');
    expect((await execa(again.python, ['-c', 'import sys; print(sys.prefix)'])).stdout).toContain(directory);
  });

  it('takes PyTorch from its own index when that can be reached', async () => {
    vi.stubEnv('PIP_NO_INDEX', '0');
    const index = await startIndex(await writeTinyWheel(await emptyFolder('index'), torch('2.13.0+cpu', 'None')));
    try {
      await writeFile(input.requirementsPath, 'torch==2.13.0\n');
      const probe = { args: ['-c', 'import torch'], cwd: directory };
      // The stand-in is pip's default index too, so that no test reaches the real one.
      vi.stubEnv('PIP_INDEX_URL', index.url);
      await ensureTrainerEnvironment({ ...input, probe, cpuIndexUrl: index.url }, options);
      expect(index.requests.some((path) => path.endsWith('.whl'))).toBe(true);
    } finally {
      index.server.close();
    }
  });

  it('replaces a half-built one, and leaves none when the trainer does not run in it', async () => {
    await writeTinyWheel(wheels, torch('2.13.0+cpu', 'None'));
    const failing = { ...input, probe: { args: ['-c', 'raise SystemExit("no kernel image")'], cwd: directory } };
    await expect(ensureTrainerEnvironment(failing, options)).rejects.toMatchObject({
      code: 'TRAINER_PROBE_FAILED',
      message: expect.stringContaining('no kernel image') as unknown,
    });
    expect(await foldersLeft()).toEqual([]);

    const built = await ensureTrainerEnvironment(input, options);
    const folder = dirname(dirname(built.python));
    await rm(join(folder, 'complete.json'));
    await writeFile(join(folder, 'left-over'), '');
    expect((await ensureTrainerEnvironment(input, options)).created).toBe(true);
    expect(existsSync(join(folder, 'left-over'))).toBe(false);
  });

  it('never takes a CUDA build for the CPU', async () => {
    await writeTinyWheel(wheels, torch('2.13.0', '"13.0"'));
    await expect(ensureTrainerEnvironment(input, options)).rejects.toMatchObject({
      code: 'PIP_FAILED',
      message: expect.stringContaining('torch==2.13.0+cpu') as unknown,
    });
    expect(await foldersLeft()).toEqual([]);
  });

  it('refuses a CPU build where CUDA was asked for', async () => {
    await writeTinyWheel(wheels, torch('2.13.0+cpu', 'None'));
    await expect(ensureTrainerEnvironment({ ...input, device: 'cuda' }, options)).rejects.toMatchObject({
      code: 'TORCH_BUILD_WRONG',
      next: expect.stringContaining('find-links') as unknown,
    });
    expect(await foldersLeft()).toEqual([]);
  });

  it('stops a build that is aborted and leaves none', async () => {
    await writeTinyWheel(wheels, torch('2.13.0+cpu', 'None'));
    const abort = new AbortController();
    const probe = { args: ['-c', 'import time; time.sleep(600)'], cwd: directory };
    const building = ensureTrainerEnvironment(
      { ...input, probe },
      {
        ...options,
        signal: abort.signal,
        onProgress: ({ phase }) => {
          if (phase === 'verify') abort.abort(new Error('enough'));
        },
      },
    );
    await expect(building).rejects.toThrow('enough');
    expect(await foldersLeft()).toEqual([]);
  });
});

describe('findPython', () => {
  async function fakePython(name: string, version: readonly number[], missing: readonly string[]): Promise<string> {
    const path = join(directory, name);
    await writeFile(path, `#!/bin/sh\necho '${JSON.stringify({ executable: path, version, missing })}'\n`);
    await chmod(path, 0o755);
    return path;
  }

  it('takes the first that fits', async () => {
    const candidates = [
      join(directory, 'absent'),
      await fakePython('old', [3, 9, 2], []),
      await fakePython('bare', [3, 12, 1], ['ensurepip']),
      await fakePython('good', [3, 12, 3], []),
    ];
    const found = await findPython({ minimum: [3, 11], modules: ['ensurepip'], candidates }, signal);
    expect(found).toEqual({ executable: join(directory, 'good'), version: '3.12.3' });
  });

  it('says what is wrong with each when none fits', async () => {
    const broken = join(directory, 'broken');
    await writeFile(broken, '#!/bin/sh\necho "command not found in any environment" >&2\nexit 127\n');
    await chmod(broken, 0o755);
    const candidates = [
      'tower-test-no-such-python',
      broken,
      await fakePython('old', [3, 9, 2], []),
      await fakePython('bare', [3, 12, 1], ['ensurepip']),
      await fakePython('new', [3, 15, 0], []),
    ];
    const search = findPython({ minimum: [3, 11], below: [3, 15], modules: ['ensurepip'], candidates }, signal);
    await expect(search).rejects.toMatchObject({ code: 'PYTHON_NOT_FOUND' });
    await expect(search).rejects.toThrow(
      /no-such-python: not there; .*broken: did not run \(command not found.*\); .*old: version 3\.9\.2; .*bare: version 3\.12\.1 without ensurepip; .*new: version 3\.15\.0/,
    );
  });
});

async function emptyFolder(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path);
  return path;
}

/** A package index of one wheel, which lies in `index`. */
async function startIndex(file: string): Promise<{ url: string; requests: string[]; server: Server }> {
  const requests: string[] = [];
  const content = await readFile(join(directory, 'index', file));
  const name = encodeURIComponent(file);
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    if (request.url === '/cpu/torch/')
      response.setHeader('content-type', 'text/html').end(`<a href="../${name}">${file}</a>`);
    else if (request.url === `/cpu/${name}`) response.end(content);
    else response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/cpu`, requests, server };
}
