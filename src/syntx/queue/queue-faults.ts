import { TowerError } from '../../errors.js';

/**
 * Does work on the queue's files; what the file system refuses becomes an error that says what to do. Everything else is
 * thrown on as it is.
 *
 * @throws TowerError `DISK_FULL` (retryable), `QUEUE_FORBIDDEN`, `QUEUE_SPLIT`
 */
export async function onQueueFiles<Result>(root: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw explained(root, error);
  }
}

function explained(root: string, error: unknown): unknown {
  if (error instanceof TowerError) return error;
  const { code, path = root, dest, syscall = 'use' } = error as NodeJS.ErrnoException & { dest?: string };
  const what = dest === undefined ? `${syscall} ${path}` : `${syscall} ${path} to ${dest}`;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return diskFull(root, error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new TowerError('QUEUE_FORBIDDEN', `the file system does not let Tower ${what} (${code})`, {
        ...{ cause: error, details: { path } },
        next: `Give the user that runs Tower the right to write in ${root} and all of its directories.`,
      });
    case 'EXDEV':
      return new TowerError('QUEUE_SPLIT', `the directories of the queue ${root} are on several file systems`, {
        ...{ cause: error, details: { path } },
        next: 'Put all of them, `.tmp` and `.tower` included, on one file system: jobs move by rename.',
      });
    case undefined:
    default:
      return error;
  }
}

export function diskFull(root: string, cause?: unknown): TowerError {
  return new TowerError('DISK_FULL', `no space left on the disk of the queue ${root}`, {
    ...{ retryable: true, retryAfterMs: 60_000, cause },
    next: 'Free disk space; the work goes on by itself.',
  });
}

export function queueMissing(root: string): TowerError {
  return new TowerError('QUEUE_MISSING', `there is no queue directory at ${root}`, {
    next: 'Set `syntx.queue` to the queue directory of the SYNTX workflow, or mount its disk.',
    details: { path: root },
  });
}
