import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const directory = '/dev/shm';
/** All that the files of a whole test run may take at the same time. */
const neededBytes = 2 * 1024 ** 3;

/**
 * Where tests put their folders: into memory where there is room. Tower syncs nearly every file that it writes; tests would
 * spend much of their time on that for nothing, since a killed process loses no written file, synced or not. `TMPDIR`, when it is set, wins.
 */
export function memoryDirectory(): string {
  return process.env['TMPDIR'] === undefined && isFit() ? directory : tmpdir();
}

function isFit(): boolean {
  try {
    accessSync(directory, constants.W_OK);
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize >= neededBytes && allowsPrograms();
  } catch {
    return false;
  }
}

/** Some containers mount it without: tests write scripts and run them. */
function allowsPrograms(): boolean {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  const options = mounts.map((line) => line.split(' ')).findLast(([, place]) => place === directory)?.[3];
  return options !== undefined && !options.split(',').includes('noexec');
}
