/** One line of a file without its end. `bytes` is absent when the line is longer than the limit. */
export interface FileLine {
  /** From 1. */
  readonly number: number;
  readonly length: number;
  readonly bytes?: Buffer;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * Splits chunks of bytes at `\n`, `\r\n` and `\r` (contract signz-mind 3.1) with constant memory: of a line longer than
 * `maxLineBytes` nothing is kept but its length.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #number = 0;
  #pending: Buffer[] = [];
  #pendingLength = 0;
  #skipLineFeed = false;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  *push(chunk: Buffer): Generator<FileLine> {
    let start = 0;
    if (this.#skipLineFeed && chunk.length > 0) {
      this.#skipLineFeed = false;
      if (chunk[0] === lineFeed) start = 1;
    }
    // Raw carriage returns hardly ever occur (the editor escapes them), so they are looked for once per chunk.
    let nextReturn = chunk.indexOf(carriageReturn, start);
    let nextFeed = chunk.indexOf(lineFeed, start);
    while (nextFeed !== -1 || nextReturn !== -1) {
      const atReturn = nextReturn !== -1 && (nextFeed === -1 || nextReturn < nextFeed);
      const end = atReturn ? nextReturn : nextFeed;
      yield this.#line(chunk.subarray(start, end));
      start = end + 1;
      if (atReturn) {
        if (start === chunk.length) this.#skipLineFeed = true;
        else if (chunk[start] === lineFeed) start += 1;
        nextReturn = chunk.indexOf(carriageReturn, start);
      }
      nextFeed = chunk.indexOf(lineFeed, start);
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** The last line, when the file does not end with a line end. */
  *end(): Generator<FileLine> {
    if (this.#pendingLength > 0) yield this.#line(Buffer.alloc(0));
  }

  #line(tail: Buffer): FileLine {
    this.#keep(tail);
    const length = this.#pendingLength;
    const [only] = this.#pending;
    const bytes = this.#pending.length === 1 ? only : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingLength = 0;
    this.#number += 1;
    return length > this.#maxLineBytes ? { number: this.#number, length } : { number: this.#number, length, bytes };
  }

  #keep(part: Buffer): void {
    this.#pendingLength += part.length;
    if (this.#pendingLength > this.#maxLineBytes) this.#pending = [];
    else if (part.length > 0) this.#pending.push(part);
  }
}
