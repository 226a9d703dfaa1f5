import { readFile, stat } from 'node:fs/promises';

/** A process that has a file locked, as the kernel knows it. */
export interface LockOwner {
  readonly pid: number;
  /** Its program, as `ps` calls it. */
  readonly name: string;
}

/**
 * Who took the flock(2) of a file, by the kernel's own list (`/proc/locks`, proc(5)): a name for holders that are not
 * Tower's. `undefined` when nobody did, or the process is gone or in a container of its own.
 */
export async function findLockOwner(path: string): Promise<LockOwner | undefined> {
  try {
    const { dev, ino } = await stat(path);
    const file = `${deviceNumber(dev)}:${ino}`;
    const lines = (await readFile('/proc/locks', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
    // 1: FLOCK ADVISORY WRITE 4711 fe:00:2146450 0 EOF
    const pid = lines.find(([, kind, , , , locked]) => kind === 'FLOCK' && locked === file)?.[4];
    if (pid === undefined) return undefined;
    return { pid: Number(pid), name: (await readFile(`/proc/${pid}/comm`, 'utf8')).trim() };
  } catch {
    // Only a name for a message: without it the message is still right.
    return undefined;
  }
}

/** As the kernel prints it, from how glibc packs it. */
function deviceNumber(dev: number): string {
  const number = BigInt(dev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn);
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':');
}
