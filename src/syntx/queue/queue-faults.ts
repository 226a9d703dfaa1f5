import { constants } from 'node:os';

import { TowerError } from '../../errors.js';

/** A disk, or the server that has it, does not answer. */
const awayCodes = [
  ...['EIO', 'EREMOTEIO', 'ENODEV', 'ENXIO', 'ENOTCONN', 'ECONNABORTED', 'ECONNRESET', 'ETIMEDOUT'],
  ...['EHOSTDOWN', 'EHOSTUNREACH'],
];

/**
 * Does work on the queue's files; what the file system refuses becomes an error that says what to do. Everything else is
 * thrown on as it is.
 *
 * @throws TowerError `DISK_FULL`, `QUEUE_AWAY` (both retryable), `QUEUE_FORBIDDEN`, `QUEUE_SPLIT`, `QUEUE_INVALID`
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
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EEXIST':
    case 'ELOOP':
      return new TowerError('QUEUE_INVALID', `something in the queue ${root} is in the way: ${what} (${code})`, {
        ...{ cause: error, details: { path } },
        next: `Look at ${path} and move away what is not the queue's.`,
      });
    case undefined:
    default:
      return isAway(error) ? queueAway(path, `${what} (${code ?? ''})`, error) : error;
  }
}

function isAway(error: unknown): boolean {
  const { code = '', errno } = error as NodeJS.ErrnoException;
  // Node 20 has no name for ESTALE.
  return awayCodes.includes(code) || errno === -constants.errno.ESTALE;
}

/** Its disk is there and does not work: that of a file server which is away, or one with a fault. */
export function queueAway(path: string, what: string, cause: unknown): TowerError {
  return new TowerError('QUEUE_AWAY', `the disk of the queue does not work: ${what}`, {
    ...{ retryable: true, retryAfterMs: 60_000, cause, details: { path } },
    next: 'Look at the disk, or the file server, of the queue (`dmesg`); the work goes on by itself.',
  });
}

export function diskFull(root: string, cause?: unknown): TowerError {
  return new TowerError('DISK_FULL', `no space left on the disk of the queue ${root}`, {
    ...{ retryable: true, retryAfterMs: 60_000, cause },
    next: 'Free disk space; the work goes on by itself.',
  });
}

/** Something that was there is not any more; a disk may have gone, or another directory come in its place. */
export function queueChanged(root: string, cause: unknown): TowerError {
  return new TowerError('QUEUE_CHANGED', `the queue ${root} was moved or replaced while it was used`, {
    ...{ retryable: true, retryAfterMs: 1000, cause },
    next: 'Nothing, if that was meant: what is there now is worked on. Else mount its disk.',
  });
}

/** The directory is there, and nothing of a queue in it: very likely a mount point without its disk. */
export function queueEmpty(root: string): TowerError {
  return new TowerError('QUEUE_MISSING', `there is no queue in ${root}: it has none of the queue's directories`, {
    next: 'Mount its disk, set `syntx.queue` to the right directory, or set `syntx.createQueue` to begin a new queue there.',
    details: { path: root },
  });
}

/** It was there before: its disk has gone, and comes back. */
export function queueGone(root: string): TowerError {
  return new TowerError('QUEUE_MISSING', `the queue ${root} is not there any more; its disk may not be mounted`, {
    ...{ retryable: true, retryAfterMs: 60_000, details: { path: root } },
    next: 'Mount its disk; the work goes on by itself. A queue that was deleted is begun anew after a restart of the worker.',
  });
}

export function queueMissing(root: string): TowerError {
  return new TowerError('QUEUE_MISSING', `there is no queue directory at ${root}`, {
    next: 'Set `syntx.queue` to the queue directory of the SYNTX workflow, or mount its disk.',
    details: { path: root },
  });
}
