import { access } from 'node:fs/promises';

/** Whether something is at this path, of whatever kind. A path that may not be looked at counts as empty. */
export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
