import { TowerError } from '../errors.js';
import { namingFullDisk } from '../files/disk-full.js';

/**
 * Does work in a folder that a person has configured; a full disk and missing permissions become errors that say what to do.
 *
 * @throws TowerError `DISK_FULL` (retryable), `NO_PERMISSION`
 */
export async function namingRefusal<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await namingFullDisk(path, work);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error;
    throw new TowerError('NO_PERMISSION', `${path} cannot be written (${code})`, {
      cause: error,
      next: `Let the user that Tower runs as write to ${path}, then start the job again.`,
    });
  }
}
