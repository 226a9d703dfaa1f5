import { link, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { syncDirectory } from '../files/durable-write.js';
import { exists } from '../files/exists.js';

export interface PlaceRequest {
  readonly loras: string;
  /** Name before `-v<N>.safetensors`. */
  readonly base: string;
  /** Tells what this caller has made from what others have. */
  readonly owner: string;
  /** Hidden file in the same folder that becomes the version. */
  readonly draft: string;
}

export interface VersionedName {
  readonly name: string;
  readonly version: number;
  /** Removes what tells a repeated call that this version is its own; to be called once that is on record. */
  settle(): Promise<void>;
}

/** What file systems without hard links answer (exFAT, some network ones). */
const linkless = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * Gives the draft the next free version as its name, without ever replacing a file. Until `settle`, a repeated call finds the
 * version it has made.
 *
 * @param makeDraft - Writes the draft; called only when there is no version of this owner yet.
 */
export async function placeNextVersion(request: PlaceRequest, makeDraft: () => Promise<void>): Promise<VersionedName> {
  const { loras, base, draft } = request;
  const own = await findOwn(request);
  if (own !== undefined) return versionedName(request, own);
  await makeDraft();
  const versions = await versionsIn(loras, base);
  const reserved = await firstOf(versions, (version) => hasMarker(join(loras, fileName(base, version)), request.owner));
  for (let version = reserved ?? 1 + Math.max(0, ...versions); ; version++) {
    const target = join(loras, fileName(base, version));
    try {
      if (!((await placeByLink(draft, target)) ?? (await placeByMarker(draft, target, request.owner)))) continue;
    } catch (error) {
      // It has got no name, so it is of no use.
      await rm(draft, { force: true });
      throw error;
    }
    await syncDirectory(loras);
    return versionedName(request, version);
  }
}

function versionedName({ loras, base, draft }: PlaceRequest, version: number): VersionedName {
  const name = fileName(base, version);
  return {
    name,
    version,
    async settle() {
      await rm(draft, { force: true });
      await rm(markerOf(join(loras, name)), { force: true });
    },
  };
}

/** @returns whether the name was free; `undefined` where there are no hard links. */
async function placeByLink(draft: string, target: string): Promise<boolean | undefined> {
  try {
    await link(draft, target);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return false;
    if (linkless.has(code)) return undefined;
    throw error;
  }
}

/** Reserves the name by a second file before the rename, which would replace one that is there. @returns whether it was free. */
export async function placeByMarker(draft: string, target: string, owner: string): Promise<boolean> {
  try {
    const marker = await open(markerOf(target), 'wx');
    try {
      await marker.writeFile(owner);
      await marker.sync();
    } catch (error) {
      // One that names nobody would keep this version from everybody.
      await rm(markerOf(target), { force: true });
      throw error;
    } finally {
      await marker.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // A crash may have come between the marker and the rename.
    if (!(await hasMarker(target, owner))) return false;
  }
  if (await exists(target)) {
    await rm(markerOf(target), { force: true });
    return false;
  }
  await rename(draft, target);
  return true;
}

/** The version that an earlier call of this owner has placed: the same file as its draft, or one with its marker. */
async function findOwn({ loras, base, owner, draft }: PlaceRequest): Promise<number | undefined> {
  const drafted = await stat(draft).catch(undefinedIfAbsent);
  for (const version of await versionsIn(loras, base)) {
    const target = join(loras, fileName(base, version));
    const found = await stat(target).catch(undefinedIfAbsent);
    if (found === undefined) continue;
    if (drafted?.ino === found.ino && drafted.dev === found.dev) return version;
    if (drafted === undefined && (await hasMarker(target, owner))) return version;
  }
  return undefined;
}

async function hasMarker(target: string, owner: string): Promise<boolean> {
  return (await readFile(markerOf(target), 'utf8').catch(undefinedIfAbsent)) === owner;
}

async function firstOf(
  versions: readonly number[],
  fits: (version: number) => Promise<boolean>,
): Promise<number | undefined> {
  for (const version of versions) if (await fits(version)) return version;
  return undefined;
}

/** Versions whose LoRA or sidecar is there, in whatever case they are written. */
async function versionsIn(loras: string, base: string): Promise<number[]> {
  const prefix = `${base}-v`.toLowerCase();
  return (await namesIn(loras)).flatMap((name) => {
    const lower = name.toLowerCase();
    const digits = lower.startsWith(prefix)
      ? /^(\d{1,9})\.(safetensors|json)/.exec(lower.slice(prefix.length))?.[1]
      : undefined;
    return digits === undefined ? [] : [Number(digits)];
  });
}

function fileName(base: string, version: number): string {
  return `${base}-v${version}.safetensors`;
}

function markerOf(target: string): string {
  return `${target}.reserved`;
}
