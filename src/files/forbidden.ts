import { TowerError } from '../errors.js';

/**
 * For `.catch` of a write to Tower's own files.
 *
 * @throws TowerError `STATE_FORBIDDEN` for what the file system does not allow; every other fault as it is.
 */
export function namingForbidden(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code ?? '')) throw error;
    throw new TowerError('STATE_FORBIDDEN', `${path} cannot be written (${error.code ?? ''})`, {
      ...{ cause: error, details: { path } },
      next: 'Give the user that runs Tower the right to write there; its own files are in its state directory.',
    });
  };
}
