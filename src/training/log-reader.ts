import { open, type FileHandle } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';

import { undefinedIfAbsent } from '../files/absent.js';

const chunkBytes = 256 * 1024;
/** A line without an end that has grown beyond this is handed out as it is: memory stays bounded. */
const longestLine = 1024 * 1024;

/**
 * Reads a growing text file line by line from its start, each call only what is new. Lines end with LF, CRLF or CR
 * (progress bars); empty lines are left out, and a multi-byte character that is half written waits for its rest.
 */
export class LogReader {
  readonly #path: string;
  readonly #decoder = new StringDecoder('utf8');
  #file: FileHandle | undefined;
  #partial = '';
  #bytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Bytes read so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The complete lines since the last call, up to the present end of the file; none while the file does not exist. */
  async *newLines(): AsyncGenerator<string> {
    this.#file ??= await openIfExists(this.#path);
    if (this.#file === undefined) return;
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, chunkBytes, this.#bytes);
      if (bytesRead === 0) return;
      this.#bytes += bytesRead;
      const lines = (this.#partial + this.#decoder.write(buffer.subarray(0, bytesRead))).split(/\r\n|\n|\r/);
      this.#partial = lines.pop() ?? '';
      if (this.#partial.length > longestLine) {
        lines.push(this.#partial);
        this.#partial = '';
      }
      for (const line of lines) if (line !== '') yield line;
    }
  }

  /** What stands after the last line end; to be asked for once the writer has ended. */
  takePartialLine(): string | undefined {
    const line = this.#partial + this.#decoder.end();
    this.#partial = '';
    return line === '' ? undefined : line;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

async function openIfExists(path: string): Promise<FileHandle | undefined> {
  return open(path, 'r').catch(undefinedIfAbsent);
}
