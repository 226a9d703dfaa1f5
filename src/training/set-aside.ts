import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { renameDurable } from '../files/durable-write.js';
import type { Log } from '../log/logger.js';

/**
 * Moves a torn state, or a file of an earlier launch, into `brokenFolder` under a new name: it is never used and never deleted.
 * Several processes may look at the same time (a pause, and the follower of the trainer that it ended); one of them moves.
 */
export async function setAside(
  path: string,
  { brokenFolder, fault, log }: { brokenFolder: string; fault: string; log: Log },
): Promise<void> {
  const broken = join(brokenFolder, `${basename(path)}-${randomBytes(4).toString('hex')}`);
  await mkdir(brokenFolder, { recursive: true });
  try {
    await renameDurable(path, broken);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  log.warn({ path, movedTo: broken, fault }, 'set aside what the trainer had left');
}
