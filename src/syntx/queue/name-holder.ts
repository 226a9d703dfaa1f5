import { namesIn } from '../../files/absent.js';
import { baseNameOf, byName, failedName, isMetadataFile, jobIdOf } from './job-name.js';
import { ownKeys, readMetadata, type Metadata } from './metadata.js';
import { isThere } from './move.js';
import { stages, type Place, type QueuePaths, type Spot } from './queue-paths.js';

const looksForRetries = 4;

export const places: readonly Place[] = [...stages, 'broken'];

/** Whose a base name is. */
export interface NameHolder {
  readonly spot: Spot;
  readonly hasPrompt: boolean;
  readonly hasMetadata: boolean;
  /** Tower's own keys in its metadata. */
  readonly own: Metadata;
}

/** Jobs in `error` whose names failures have lengthened: the name with which each was made → its name now. */
export type FailedNames = ReadonlyMap<string, string>;

/**
 * The job that has this name, in whatever place it is by now, also after failures have lengthened its name.
 *
 * @param failed - Of the names that failures make, only the first few links of a chain are found without it.
 */
export async function nameHolder(
  paths: QueuePaths,
  baseName: string,
  failed: FailedNames,
): Promise<NameHolder | undefined> {
  const here: NameHolder[] = [];
  for (const place of places) {
    const holder = await holderAt(paths, { place, baseName });
    if (holder !== undefined) here.push(holder);
  }
  // Between two renames a job's prompt is in one place and its metadata in another: where the prompt is, there is the job.
  const [holder] = [...here.filter(({ hasPrompt }) => hasPrompt), ...here];
  const described = here.find(({ hasMetadata }) => hasMetadata);
  if (holder !== undefined) return holder.hasMetadata ? holder : { ...holder, ...descriptionOf(described) };
  for (const name of laterNames(baseName, failed)) {
    for (const place of places) {
      const later = await holderAt(paths, { place, baseName: name });
      if (later !== undefined) return later;
    }
  }
  return undefined;
}

/** What failures may have made of a name; they form a chain, which costs no listing. A failed job that was put back keeps its name. */
function laterNames(baseName: string, failed: FailedNames): string[] {
  const renamed = failed.get(baseName);
  const names = renamed === undefined ? [] : [renamed];
  let name = baseName;
  for (let count = 1; count <= looksForRetries; count++) {
    name = failedName(name, count);
    names.push(name);
  }
  return names;
}

export async function listFailedNames(paths: QueuePaths): Promise<FailedNames> {
  const names = (await namesIn(paths.directory('error'))).filter(isMetadataFile).map(baseNameOf);
  const lengthened = names.filter((name) => jobIdOf(name) !== name);
  // Of several the first by name.
  return new Map(
    lengthened
      .sort(byName)
      .reverse()
      .map((name) => [jobIdOf(name), name]),
  );
}

function descriptionOf(described: NameHolder | undefined): Partial<NameHolder> {
  return described === undefined ? {} : { hasMetadata: true, own: described.own };
}

async function holderAt(paths: QueuePaths, spot: Spot): Promise<NameHolder | undefined> {
  const found = await readMetadata(paths.metadata(spot));
  const hasPrompt = await isThere(paths.prompt(spot));
  const hasMetadata = found.state !== 'absent';
  if (!hasPrompt && !hasMetadata) return undefined;
  return { spot, hasPrompt, hasMetadata, own: found.state === 'read' ? ownKeys(found.metadata) : {} };
}
