import { crc32 } from 'node:zlib';

const signatureBytes = 8;
/** Length, type, 13 bytes of content, checksum. */
const headerChunkBytes = 25;

/** Puts text chunks (`tEXt`, PNG specification 11.3.4.3) behind the header of a PNG. Texts are ASCII. */
export function withTextChunks(png: Buffer, texts: Readonly<Record<string, string>>): Buffer {
  const at = signatureBytes + headerChunkBytes;
  const chunks = Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text));
  return Buffer.concat([png.subarray(0, at), ...chunks, png.subarray(at)]);
}

function textChunk(keyword: string, text: string): Buffer {
  const body = Buffer.from(`tEXt${keyword}\0${text}`, 'latin1');
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(body.length - 4, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

/** JSON as Python writes it, with numbers that JSON has no word for: `NaN`, `Infinity`. */
export function pythonJson(value: unknown): string {
  const marked = JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'number' && !Number.isFinite(item) ? `\0${item}` : item,
  );
  return marked.replace(/"\\u0000(NaN|-?Infinity)"/g, '$1');
}

/** JSON as Python writes it into PNGs: every other character escaped. */
export function asciiJson(value: unknown): string {
  return pythonJson(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
