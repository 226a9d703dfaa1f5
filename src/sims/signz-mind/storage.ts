import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import { sha256OfFile } from '../../files/sha256.js';
import { Refusal } from './answers.js';
import { batchFileName } from './stored-names.js';

const modelSchema = z.object({
  model_version: z.string(),
  training_date: z.string().nullable(),
  notes: z.string().nullable(),
  upload_timestamp_utc: z.string(),
  /** Order of arrival: the latest model is the one with the highest number. */
  sequence: z.int(),
  sha256: z.string(),
  bytes: z.int(),
  simulated: z.literal(true),
});

export type StoredModel = z.output<typeof modelSchema>;

/**
 * The folders of the server: `data_batches/`, its `processed_by_tower/`, and `uploaded_models/` with a JSON file beside
 * each zip (contract signz-mind 2.1, 2.4, 2.6). Everything appears by rename or link.
 */
export class Storage {
  readonly batches: string;
  readonly processed: string;
  readonly models: string;
  readonly #now: () => Date;
  #lastMicroseconds = 0;

  private constructor(directory: string, now: () => Date) {
    this.batches = join(directory, 'data_batches');
    this.processed = join(this.batches, 'processed_by_tower');
    this.models = join(directory, 'uploaded_models');
    this.#now = now;
  }

  static async open(directory: string, now: () => Date): Promise<Storage> {
    const storage = new Storage(directory, now);
    await mkdir(storage.processed, { recursive: true });
    await mkdir(storage.models, { recursive: true });
    return storage;
  }

  /** Where an upload is received; not listed, not a model. */
  temporaryFile(): string {
    return join(this.models, `.upload-${randomBytes(6).toString('hex')}.tmp`);
  }

  /** Regular `*.jsonl` files that are not marked, ascending. */
  async listBatches(): Promise<string[]> {
    const entries = await readdir(this.batches, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith('.jsonl'))
      .map(({ name }) => name)
      .sort();
  }

  /** @returns the name on the server; never one that was given before. */
  async addBatch(received: string, userId: number, clientId: string): Promise<string> {
    this.#lastMicroseconds = Math.max(this.#now().getTime() * 1000, this.#lastMicroseconds + 1);
    const name = batchFileName(userId, clientId, this.#lastMicroseconds);
    await rename(received, join(this.batches, name));
    return name;
  }

  /** @throws Refusal 404 */
  async batchFile(name: string): Promise<{ path: string; bytes: number }> {
    const path = join(this.batches, name);
    const bytes = await sizeOf(path);
    if (bytes === undefined) throw new Refusal(404, `Batch-Datei nicht gefunden: ${name} (simulated)`);
    return { path, bytes };
  }

  /** @throws Refusal 404 when it is unknown or marked already */
  async markBatch(name: string): Promise<void> {
    const { path } = await this.batchFile(name);
    await rename(path, join(this.processed, name));
  }

  /**
   * Stores a model under its version, once.
   *
   * @returns whether it is new; `false` when the same bytes were there.
   * @throws Refusal 409 when other bytes are there
   */
  async addModel(
    received: string,
    model: Pick<StoredModel, 'model_version' | 'training_date' | 'notes'>,
  ): Promise<{ added: boolean; bytes: number }> {
    const target = this.modelFile(model.model_version);
    const { size: bytes } = await stat(received);
    const sha256 = await sha256OfFile(received);
    try {
      await link(received, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if ((await sha256OfFile(target)) === sha256) return { added: false, bytes };
      throw new Refusal(409, `Modellversion existiert bereits mit anderem Inhalt: ${model.model_version} (simulated)`);
    } finally {
      await unlink(received);
    }
    const sequence = Math.max(0, ...(await this.listModels()).map((other) => other.sequence)) + 1;
    const upload_timestamp_utc = this.#now().toISOString();
    const stored: StoredModel = { ...model, upload_timestamp_utc, sequence, sha256, bytes, simulated: true };
    await writeJsonDurable(join(this.models, `${model.model_version}.json`), stored);
    return { added: true, bytes };
  }

  modelFile(version: string): string {
    return join(this.models, `${version}.zip`);
  }

  /** In the order of arrival. */
  async listModels(): Promise<StoredModel[]> {
    const names = (await readdir(this.models)).filter((name) => name.endsWith('.json'));
    const models = await Promise.all(names.map((name) => readJsonIfExists(join(this.models, name), modelSchema)));
    return models.filter((model) => model !== undefined).sort((a, b) => a.sequence - b.sequence);
  }

  async discard(received: string): Promise<void> {
    await rm(received, { force: true });
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
