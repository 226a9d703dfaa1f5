import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { TowerError } from '../../errors.js';
import { namingFullDisk } from '../../files/disk-full.js';
import { renameDurable } from '../../files/durable-write.js';
import type { ServiceOptions } from '../../service-options.js';
import { batchSource } from '../batch-name.js';
import { importBatch, type ImportProgress } from '../ingest/import-batch.js';
import { forgetLocalBatch, recordLocalBatch } from '../ledger/batch-edits.js';
import type { BatchRecord } from '../ledger/batches.js';
import { legacySource } from '../ledger/import-rows.js';
import type { Ledger } from '../ledger/ledger.js';

export interface ImportFileInput {
  readonly ledger: Ledger;
  /** The raw file is kept here, as those of the server are. */
  readonly batchDirectory: string;
  /** JSON lines as the editor writes them (contract signz-mind 3.1). */
  readonly path: string;
  readonly origin: 'local' | 'legacy';
  /** Whose rows they are, `<user id>/<client id>`; default: as the file's name says, else `local`. */
  readonly source?: string | undefined;
  /** Names the batch; default: the file's own name. */
  readonly title?: string;
  /** ISO 8601 UTC. */
  readonly at: string;
}

const longestTitle = 80;

/**
 * Brings a local file into the ledger as a batch of its own, with the invariants of every other batch. It is named by its
 * content, so that the same file is imported once. It never was on the server and is never marked there.
 *
 * @returns the batch, and whether it is new.
 * @throws TowerError `LOCAL_FILE_UNREADABLE`, `BATCH_FILE_FAULT` (nothing is kept then)
 */
export async function importFile(
  input: ImportFileInput,
  options: ServiceOptions<ImportProgress>,
): Promise<{ readonly batch: BatchRecord; readonly added: boolean }> {
  const { ledger, batchDirectory, origin, at } = input;
  const { name, bytes, sha256 } = await keepCopy(input, options.signal);
  const source = origin === 'legacy' ? legacySource : (input.source ?? sourceOf(input.path));
  await recordLocalBatch(ledger, { name, source, origin, cycle: at, bytes, sha256 });
  const recorded = known(ledger, name);
  const path = join(batchDirectory, name);
  let counts;
  try {
    counts = await importBatch(ledger, { ...recorded, path, cycle: at }, options);
  } catch (error) {
    if (error instanceof TowerError && error.code === 'BATCH_FILE_FAULT') {
      await forgetLocalBatch(ledger, name);
      await rm(path, { force: true });
    }
    throw error;
  }
  options.log.info({ batch: name, rows: counts ?? 'imported before' }, 'local file imported');
  return { batch: known(ledger, name), added: counts !== undefined };
}

async function keepCopy(
  { path, batchDirectory, origin, title }: ImportFileInput,
  signal: AbortSignal,
): Promise<{ name: string; bytes: number; sha256: string }> {
  await mkdir(batchDirectory, { recursive: true });
  const temporary = join(batchDirectory, `.import-${randomBytes(6).toString('hex')}.tmp`);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    await namingFullDisk(join(batchDirectory, basename(path)), async () => {
      const copy = await open(temporary, 'wx');
      try {
        for await (const chunk of readable(path, signal)) {
          hash.update(chunk);
          bytes += chunk.length;
          await copy.write(chunk);
        }
        await copy.sync();
      } finally {
        await copy.close();
      }
    });
    const sha256 = hash.digest('hex');
    const name = `${origin}-${titleOf(title ?? basename(path))}-${sha256.slice(0, 12)}.jsonl`;
    await renameDurable(temporary, join(batchDirectory, name));
    return { name, bytes, sha256 };
  } finally {
    await rm(temporary, { force: true });
  }
}

async function* readable(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path, { signal })) yield chunk as Buffer;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new TowerError('LOCAL_FILE_UNREADABLE', `cannot read ${path} on this host`, {
      cause: error,
      next: 'Name a file that the control worker of this host may read.',
    });
  }
}

function titleOf(name: string): string {
  const words = name.replace(/\.[^.]*$/, '').replace(/[^\p{L}\p{N}_-]+/gu, '-');
  return words.slice(0, longestTitle) || 'file';
}

/** A file that has kept its name from the server brings rows of the same user and client. */
function sourceOf(path: string): string {
  const { key, userId } = batchSource(basename(path));
  return userId === null ? 'local' : key;
}

function known(ledger: Ledger, name: string): BatchRecord {
  const batch = ledger.batches.get(name);
  if (batch === undefined) throw new Error(`the ledger has lost the batch ${name}`);
  return batch;
}
