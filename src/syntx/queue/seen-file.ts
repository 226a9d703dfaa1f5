import type { Stats } from 'node:fs';

import type { ScoredJobRecord } from './lesson.js';

/** A file of metadata, as it was when it was looked at. */
export interface SeenFile {
  readonly place: ScoredJobRecord['place'];
  readonly baseName: string;
  /** Size, times and inode: other content has another mark. */
  readonly mark: string;
  /** It may still be changed within the same tick of its file system's clock, which would leave no mark. */
  readonly isYoung: boolean;
}

/** File systems count time in ticks of up to two seconds. */
const youngMs = 3000;

/** @param now by which its age is told. */
export function seenFile(
  { place, baseName }: Pick<SeenFile, 'place' | 'baseName'>,
  { size, mtimeMs, ctimeMs, ino }: Stats,
  now: Date,
): SeenFile {
  const mark = `${size} ${mtimeMs} ${ctimeMs} ${ino}`;
  return { place, baseName, mark, isYoung: isYoung({ mtimeMs, ctimeMs }, now) };
}

/** Whether something has changed so lately that the next change may have the same time; either clock may be behind. */
export function isYoung({ mtimeMs, ctimeMs }: Pick<Stats, 'mtimeMs' | 'ctimeMs'>, now: Date): boolean {
  return now.getTime() - Math.max(mtimeMs, ctimeMs) < youngMs;
}
