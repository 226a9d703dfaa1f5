import { createHash, randomBytes, type Hash } from 'node:crypto';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { renameDurable } from '../../files/durable-write.js';
import type { Sample } from './options.js';

const bufferedCharacters = 256 * 1024;

/** Writes samples as JSON lines under a temporary name; {@link DatasetFile.publish} makes the file appear, whole and durable. */
export class DatasetFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  #buffer = '';
  #samples = 0;

  private constructor(path: string, temporary: string, file: FileHandle) {
    this.#path = path;
    this.#temporary = temporary;
    this.#file = file;
  }

  static async create(path: string): Promise<DatasetFile> {
    await mkdir(dirname(path), { recursive: true });
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
    return new DatasetFile(path, temporary, await open(temporary, 'wx'));
  }

  get samples(): number {
    return this.#samples;
  }

  async write({ prompt, completion }: Sample): Promise<void> {
    this.#samples += 1;
    this.#buffer += `${JSON.stringify(prompt === undefined ? { completion } : { prompt, completion })}\n`;
    if (this.#buffer.length >= bufferedCharacters) await this.#flush();
  }

  /** @returns SHA-256 of the file as lower-case hex. */
  async publish(): Promise<string> {
    await this.#flush();
    await this.#file.sync();
    await this.#file.close();
    await renameDurable(this.#temporary, this.#path);
    return this.#hash.digest('hex');
  }

  /** Removes the temporary file of an unfinished dataset; does nothing after {@link publish}. */
  async discard(): Promise<void> {
    await this.#file.close();
    await rm(this.#temporary, { force: true });
  }

  async #flush(): Promise<void> {
    this.#hash.update(this.#buffer);
    await this.#file.writeFile(this.#buffer);
    this.#buffer = '';
  }
}
