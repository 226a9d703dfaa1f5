import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import yazl from 'yazl';

import { TowerError } from '../../errors.js';
import { namingFullDisk } from '../../files/disk-full.js';
import { renameDurable } from '../../files/durable-write.js';
import { sha256OfFile } from '../../files/sha256.js';
import type { ServiceOptions } from '../../service-options.js';

/** What a consumer of an adapter needs; everything else in the folder (checkpoints, optimiser state, pickles) stays. */
const packagedFiles = [
  /^adapter_config\.json$/,
  /^adapter_model\.safetensors$/,
  /^README\.md$/,
  /^tokenizer\.(json|model)$/,
  /^(tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$/,
  /^merges\.txt$/,
  /^chat_template\.(jinja|json)$/,
  // Marks the work of the simulated trainer.
  /^simulated\.json$/,
];
const neededFiles = ['adapter_config.json', 'adapter_model.safetensors'];
const manifestFile = 'tower.json';

/**
 * Fixed attributes of every entry. The time is the lowest that a zip can hold, and local on purpose: a zip stores local
 * time, so its bytes are equal in every zone.
 */
function entryOptions() {
  return { mtime: new Date(1980, 0, 1), mode: 0o100644, forceDosTimestamp: true, compressionLevel: 6 };
}

export interface PackageInput {
  readonly adapterDirectory: string;
  /** Becomes `tower.json`: hashes, fingerprint, batches, hyperparameters, metrics. No times of writing. */
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly targetPath: string;
}

export interface AdapterPackage {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Names inside the zip, in its order. */
  readonly entries: readonly string[];
}

/**
 * Packs an adapter as the editors expect it (contract signz-mind 6.5): flat root, deflate. The same files and manifest
 * give the same bytes: sorted entries, fixed times and modes. Streams; the target appears whole and durable.
 *
 * @throws TowerError `ADAPTER_INCOMPLETE` when the folder lacks the adapter's own files
 */
export async function packageAdapter(
  input: PackageInput,
  { signal, log }: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<AdapterPackage> {
  const names = await namesToPack(input.adapterDirectory);
  const directory = dirname(input.targetPath);
  await mkdir(directory, { recursive: true });
  const temporary = join(directory, `.${basename(input.targetPath)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await namingFullDisk(input.targetPath, async () => {
      await writeZip(temporary, names, input, signal);
      const file = await open(temporary, 'r+');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    });
    const [{ size: bytes }, sha256] = await Promise.all([stat(temporary), sha256OfFile(temporary, signal)]);
    await renameDurable(temporary, input.targetPath);
    log.info({ file: input.targetPath, bytes, sha256 }, 'adapter packaged');
    return { path: input.targetPath, sha256, bytes, entries: names };
  } finally {
    await rm(temporary, { force: true });
  }
}

async function namesToPack(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  const missing = neededFiles.filter((name) => !files.includes(name));
  if (missing.length > 0) {
    throw new TowerError('ADAPTER_INCOMPLETE', `${directory} lacks ${missing.join(' and ')}`, {
      next: 'Train again: the adapter was not saved completely.',
    });
  }
  const kept = files.filter((name) => packagedFiles.some((pattern) => pattern.test(name)));
  return [...kept, manifestFile].sort();
}

async function writeZip(
  path: string,
  names: readonly string[],
  input: PackageInput,
  signal: AbortSignal,
): Promise<void> {
  const zip = new yazl.ZipFile();
  const written = pipeline(zip.outputStream, createWriteStream(path, { flags: 'wx' }), { signal });
  const failed = new Promise<never>((_, reject) => zip.once('error', reject));
  for (const name of names) {
    if (name === manifestFile) {
      zip.addBuffer(Buffer.from(`${JSON.stringify(input.manifest, null, 2)}\n`), name, entryOptions());
    } else {
      zip.addReadStreamLazy(name, entryOptions(), (take) => {
        take(null, createReadStream(join(input.adapterDirectory, name)));
      });
    }
  }
  zip.end();
  await Promise.race([written, failed]);
}
