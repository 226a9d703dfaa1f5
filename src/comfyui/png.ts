import { readFile } from 'node:fs/promises';
import { crc32, inflateSync } from 'node:zlib';

/** What a complete PNG says of itself. */
export interface PngFacts {
  readonly width: number;
  readonly height: number;
  /** Keyword → text of its `tEXt`, `zTXt` and `iTXt` chunks. */
  readonly text: ReadonlyMap<string, string>;
}

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Of all texts together, unpacked: a few kilobytes of PNG could hold gigabytes. */
const textLimitBytes = 16 * 1024 ** 2;

/**
 * Reads a PNG to its end: every chunk is there and has the checksum it claims. The pixels are not decoded.
 *
 * @returns the facts, or as text what is wrong with it.
 */
export async function readPng(path: string): Promise<PngFacts | string> {
  const file = await readFile(path);
  if (!file.subarray(0, 8).equals(signature)) return 'it does not begin like a PNG';
  const text = new Map<string, string>();
  let size: Pick<PngFacts, 'width' | 'height'> | undefined;
  let hasPixels = false;
  let textRoom = textLimitBytes;
  for (let offset = 8; offset + 12 <= file.length;) {
    const length = file.readUInt32BE(offset);
    const end = offset + 12 + length;
    if (end > file.length) break;
    const type = file.toString('latin1', offset + 4, offset + 8);
    if (crc32(file.subarray(offset + 4, end - 4)) !== file.readUInt32BE(end - 4)) return `its ${type} chunk is damaged`;
    const data = file.subarray(offset + 8, end - 4);
    if (type === 'IHDR' && length === 13) size = { width: data.readUInt32BE(0), height: data.readUInt32BE(4) };
    if (type === 'IDAT') hasPixels = true;
    const entry = textEntry(type, data, textRoom);
    if (entry !== undefined) {
      text.set(...entry);
      textRoom -= entry[1].length;
    }
    if (type === 'IEND') return size === undefined || !hasPixels ? 'it has no pixels' : { ...size, text };
    offset = end;
  }
  return `it ends early, after ${file.length} bytes`;
}

/** Keyword and text of a text chunk (PNG specification, 11.3.4), unless it has more bytes than there is room for. */
function textEntry(type: string, data: Buffer, room: number): [string, string] | undefined {
  const split = data.indexOf(0);
  if (split < 1 || !['tEXt', 'zTXt', 'iTXt'].includes(type) || data.length > room) return undefined;
  const keyword = data.toString('latin1', 0, split);
  const rest = data.subarray(split + 1);
  try {
    if (type === 'tEXt') return [keyword, rest.toString('latin1')];
    if (type === 'zTXt') return [keyword, inflate(rest.subarray(1), room).toString('latin1')];
    const languageEnd = rest.indexOf(0, 2);
    const body = rest.subarray(rest.indexOf(0, languageEnd + 1) + 1);
    return [keyword, (rest[0] === 1 ? inflate(body, room) : body).toString('utf8')];
  } catch {
    // A text that cannot be unpacked proves nothing, and does not harm the picture.
    return undefined;
  }
}

function inflate(data: Buffer, room: number): Buffer {
  return inflateSync(data, { maxOutputLength: room });
}
