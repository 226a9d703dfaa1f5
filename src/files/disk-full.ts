import { TowerError } from '../errors.js';

/**
 * Does work that writes a file; a full disk or quota becomes an error that names the file and goes away by itself once
 * there is room. Everything else is thrown on as it is.
 *
 * @throws TowerError `DISK_FULL` (retryable)
 */
export async function namingFullDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new TowerError('DISK_FULL', `no space left on the disk while writing ${path}`, {
      retryable: true,
      retryAfterMs: 60_000,
      cause: error,
      next: 'Free disk space; the work goes on by itself.',
    });
  }
}
