import { constants, copyFile, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { undefinedIfAbsent } from '../files/absent.js';
import { syncDirectory, writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256OfFile } from '../files/sha256.js';

/** What Tower has put under the alias; any other file there is somebody else's. */
const aliasSchema = z.object({
  version: z.int(),
  /** Of the file before and after the change that was begun last. */
  sha256: z.array(z.string()),
});

export interface AliasRequest {
  readonly loras: string;
  readonly base: string;
  readonly version: number;
  readonly run: string;
  /** The published version. */
  readonly source: string;
  readonly sha256: string;
}

/**
 * Publishes `<base>.safetensors` as a copy of a version, by rename, so that graphs which name it keep working. A file that is
 * not Tower's is left alone, and a newer version stays.
 */
export async function publishAlias({
  loras,
  base,
  version,
  run,
  source,
  sha256,
}: AliasRequest): Promise<{ readonly name: string | null; readonly refused: string | null }> {
  const name = `${base}.safetensors`;
  const target = join(loras, name);
  const record = join(loras, `.tower-alias-${base}.json`);
  const known = await readJsonIfExists(record, aliasSchema);
  const found = (await stat(target).catch(undefinedIfAbsent)) === undefined ? undefined : await sha256OfFile(target);
  if (found !== undefined && known?.sha256.includes(found) !== true) {
    return { name: null, refused: `${target} was not put there by Tower, so it stays` };
  }
  if (known !== undefined && known.version > version && found !== undefined) {
    return { name: null, refused: `${target} is version ${known.version} already` };
  }
  if (found !== sha256) {
    // A copy, not a link: who writes the alias in place must not change the version. Shares its blocks where it can.
    const draft = join(loras, `.tower-${run}-alias.tmp`);
    try {
      await copyFile(source, draft, constants.COPYFILE_FICLONE);
      await syncFile(draft);
      await writeJsonDurable(record, { version, sha256: [...(found === undefined ? [] : [found]), sha256] });
      await rename(draft, target);
    } finally {
      await rm(draft, { force: true });
    }
    await syncDirectory(loras);
  }
  return { name, refused: null };
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.chmod(0o644);
    await file.sync();
  } finally {
    await file.close();
  }
}
