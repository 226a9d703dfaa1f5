import { createHash, hash as hashOnce } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** SHA-256 of a file as lower-case hex, read as a stream (constant memory). */
export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** SHA-256 of a text (UTF-8) or of bytes as lower-case hex. */
export function sha256Of(content: string | Uint8Array): string {
  return hashOnce('sha256', content);
}
