import { TowerError } from '../errors.js';

/** As {@link namingFullDisk}, for work under temporary names: what names one of them is named anew. */
export async function namingFullDiskOf<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  return namingFullDisk(path, async () => {
    try {
      return await work();
    } catch (error) {
      throw error instanceof TowerError && error.code === 'DISK_FULL' ? error.cause : error;
    }
  });
}

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
