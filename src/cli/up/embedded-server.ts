import { join } from 'node:path';

import { cacheDirectory } from '../../config/locations.js';
import type { Log } from '../../log/logger.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../temporal/embedded-server.js';
import { towerSearchAttributes } from '../../temporal/search-attributes.js';
import { ensureTemporalCli } from '../../toolchain/temporal-cli.js';
import type { CommandContext } from '../command-context.js';
import { createStatusLine } from '../status/status-line.js';

/** Finds or fetches the Temporal CLI and starts the embedded server of this state directory. */
export async function startServer(
  context: CommandContext,
  { signal, log }: { signal: AbortSignal; log: Log },
): Promise<EmbeddedServer> {
  const { temporal } = context.config;
  const progress = await createStatusLine(context.output);
  try {
    const cli = await ensureTemporalCli(
      {
        ...(temporal.cli !== undefined && { configuredPath: temporal.cli }),
        cacheDirectory: cacheDirectory(process.env),
      },
      { signal, log, onProgress: ({ tool, message }) => progress.show(tool, message) },
    );
    return startEmbeddedServer(
      {
        cli,
        stateDirectory: context.home,
        logPath: join(context.paths.logs, 'temporal-server.log'),
        namespace: 'default',
        retentionDays: temporal.retentionDays,
        searchAttributes: Object.values(towerSearchAttributes),
        ports: { grpc: temporal.port, ui: temporal.uiPort },
      },
      { signal, log },
    );
  } finally {
    progress.close();
  }
}
