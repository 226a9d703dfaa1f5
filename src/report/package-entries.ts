import { stat } from 'node:fs/promises';

import { openPromise } from 'yauzl';

import { undefinedIfAbsent } from '../files/absent.js';

export interface PackageEntry {
  readonly name: string;
  /** Uncompressed. */
  readonly bytes: number;
}

/** What is in a package, in its order. @returns `undefined` when the file is not there (any more). */
export async function packageEntries(path: string): Promise<PackageEntry[] | undefined> {
  if ((await stat(path).catch(undefinedIfAbsent)) === undefined) return undefined;
  const zip = await openPromise(path, { lazyEntries: true });
  const entries: PackageEntry[] = [];
  for await (const { fileName, uncompressedSize } of zip.eachEntry()) {
    entries.push({ name: fileName, bytes: uncompressedSize });
  }
  return entries;
}
