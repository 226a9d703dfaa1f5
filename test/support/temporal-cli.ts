import { pino } from 'pino';

import { cacheDirectory } from '../../src/config/locations.js';
import { ensureTemporalCli, type TemporalCli } from '../../src/toolchain/temporal-cli.js';

/** The real Temporal CLI for tests: `TOWER_TEMPORAL_CLI` when set, else whatever Tower itself would find or fetch. */
export async function testTemporalCli(): Promise<TemporalCli> {
  const configuredPath = process.env['TOWER_TEMPORAL_CLI'];
  return ensureTemporalCli(
    { cacheDirectory: cacheDirectory(process.env), ...(configuredPath !== undefined && { configuredPath }) },
    { signal: AbortSignal.timeout(150_000), log: pino({ level: 'silent' }) },
  );
}
