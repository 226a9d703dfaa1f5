import { namesIn } from '../../files/absent.js';
import { baseNameOf, byName, isMetadataFile, jobIdOf } from './job-name.js';
import { ownKeys, readMetadata, type Metadata } from './metadata.js';
import { isThere } from './move.js';
import { stages, type Place, type QueuePaths, type Spot } from './queue-paths.js';

export const places: readonly Place[] = [...stages, 'broken'];

/** Whose a base name is. */
export interface NameHolder {
  readonly spot: Spot;
  readonly hasPrompt: boolean;
  readonly hasMetadata: boolean;
  /** Tower's own keys in its metadata. */
  readonly own: Metadata;
}

/** The job that has this name, in whatever place it is by now, also after failures have lengthened its name. */
export async function nameHolder(paths: QueuePaths, baseName: string): Promise<NameHolder | undefined> {
  for (const place of places) {
    const holder = await holderAt(paths, { place, baseName });
    if (holder !== undefined) return holder;
  }
  const failed = (await namesIn(paths.directory('error'))).filter(isMetadataFile).map(baseNameOf).sort(byName);
  const renamed = failed.find((name) => jobIdOf(name) === baseName);
  return renamed === undefined ? undefined : holderAt(paths, { place: 'error', baseName: renamed });
}

async function holderAt(paths: QueuePaths, spot: Spot): Promise<NameHolder | undefined> {
  const found = await readMetadata(paths.metadata(spot));
  const hasPrompt = await isThere(paths.prompt(spot));
  const hasMetadata = found.state !== 'absent';
  if (!hasPrompt && !hasMetadata) return undefined;
  return { spot, hasPrompt, hasMetadata, own: found.state === 'read' ? ownKeys(found.metadata) : {} };
}
