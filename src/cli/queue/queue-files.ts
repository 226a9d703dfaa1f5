import { hostNameOf } from '../../config/host-name.js';
import { createLog } from '../../log/create-log.js';
import { openSyntx, type SyntxFiles } from '../../syntx/open-syntx.js';
import type { CommandContext } from '../command-context.js';

/** Works on the queue directory as one of the processes that share it. @throws TowerError `SYNTX_NOT_CONFIGURED` */
export async function withQueueFiles<Result>(
  context: CommandContext,
  work: (files: SyntxFiles) => Promise<Result>,
): Promise<Result> {
  const { config, home, paths } = context;
  const log = createLog({ file: paths.logFile, level: config.log.level, role: 'cli' });
  const files = openSyntx({ config, home, host: hostNameOf(config), log });
  try {
    return await work(files);
  } finally {
    files.queue.close();
  }
}
