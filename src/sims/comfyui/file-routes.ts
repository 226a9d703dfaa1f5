import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { link, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, extname, join, normalize, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';

import busboy from 'busboy';
import sharp from 'sharp';

import { json, type Answer } from './answers.js';
import { sha256OfFile } from '../../files/sha256.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { pythonJson } from './png-text.js';
import type { Route, RouteContext, ServerState } from './route.js';

const types: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.gif': 'image/gif',
  '.txt': 'text/plain',
  '.json': 'application/json',
};

/** Images in and out (contract comfyui 7.1 and 7.2). */
export const fileRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/view', handle: view },
  { method: 'POST', pattern: '/upload/image', handle: upload },
];

async function view({ url, server }: RouteContext): Promise<Answer> {
  const query = url.searchParams;
  const given = query.get('filename');
  if (given === null) return { status: 404 };
  const marked = /^(.*?) ?\[(output|input|temp)\]$/.exec(given);
  const name = marked?.[1] ?? given;
  const root = rootOf(server, marked?.[2] ?? query.get('type') ?? 'output');
  if (root === undefined || name.startsWith('/') || name.includes('..')) return { status: 400 };
  const directory = join(root, query.get('subfolder') ?? '');
  if (isOutside(root, directory)) return { status: 403 };
  const path = join(directory, basename(name));
  const found = await stat(path).catch(undefinedIfAbsent);
  if (found?.isFile() !== true) return { status: 404 };
  const named = { 'content-disposition': `filename="${basename(path)}"` };
  const [preview, channel] = [query.get('preview'), query.get('channel') ?? 'rgba'];
  if (preview !== null) return { ...(await previewOf(path, preview)), headers: named };
  if (channel === 'rgb') {
    return { ...converted('image/png', await sharp(path).removeAlpha().png().toBuffer()), headers: named };
  }
  if (channel === 'a') {
    const withAlpha = await sharp(path).ensureAlpha().png().toBuffer();
    const alpha = sharp(withAlpha).extractChannel('alpha').png();
    return { ...converted('image/png', await alpha.toBuffer()), headers: named };
  }
  const modified = found.mtime.toUTCString();
  return {
    status: 200,
    file: path,
    headers: {
      'content-type': types[extname(path).toLowerCase()] ?? 'application/octet-stream',
      ...named,
      etag: `"${createHash('sha1').update(`${found.mtimeMs} ${found.size}`).digest('hex').slice(0, 16)}"`,
      'last-modified': modified,
      'accept-ranges': 'bytes',
    },
  };
}

async function previewOf(path: string, wanted: string): Promise<Answer> {
  const [format = '', quality = ''] = wanted.split(';');
  const options = { quality: Number(quality) > 0 ? Number(quality) : 90 };
  const image = sharp(path);
  return format === 'jpeg'
    ? converted('image/jpeg', await image.jpeg(options).toBuffer())
    : converted('image/webp', await image.webp(options).toBuffer());
}

function converted(type: string, bytes: Buffer): Answer {
  return { status: 200, body: { bytes, type } };
}

async function upload({ request, server }: RouteContext): Promise<Answer> {
  const received = join(server.temporaryDirectory, `upload-${randomBytes(6).toString('hex')}`);
  try {
    const { fields, fileName } = await receive(request, received);
    const type = fields['type'] ?? 'input';
    const root = rootOf(server, type);
    // An exception in the real server too, and so 500.
    if (root === undefined) throw new Error(`unknown type ${type}`);
    const subfolder = normalize(fields['subfolder'] ?? '').replace(/^\.$/, '');
    const directory = join(root, subfolder);
    if (fileName === undefined || isOutside(root, join(directory, fileName))) return { status: 400 };
    await mkdir(directory, { recursive: true });
    const overwrite = ['true', '1'].includes(fields['overwrite'] ?? '');
    const name = await storeAs(directory, fileName, { received, overwrite });
    return json({ name, subfolder, type });
  } finally {
    await rm(received, { force: true });
  }
}

/** Keeps the file under its name, or with a number when another content has it. @returns the name it has now */
async function storeAs(
  directory: string,
  wanted: string,
  { received, overwrite }: { readonly received: string; readonly overwrite: boolean },
): Promise<string> {
  if (overwrite) await rm(join(directory, wanted), { force: true });
  const extension = extname(wanted);
  const stem = basename(wanted, extension);
  for (let number = 0; ; number++) {
    const name = number === 0 ? wanted : `${stem} (${number})${extension}`;
    const path = join(directory, name);
    try {
      await link(received, path);
      return name;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if ((await sha256OfFile(path)) === (await sha256OfFile(received))) return name;
    }
  }
}

interface Received {
  readonly fields: Readonly<Record<string, string>>;
  readonly fileName: string | undefined;
}

async function receive(request: RouteContext['request'], target: string): Promise<Received> {
  const fields: Record<string, string> = {};
  let fileName: string | undefined;
  let written: Promise<void> = Promise.resolve();
  const parser = busboy({ headers: request.headers, defParamCharset: 'utf8', preservePath: true });
  parser.on('field', (name, value) => {
    fields[name] = value;
  });
  parser.on('file', (name, stream, info) => {
    if (name !== 'image' || fileName !== undefined) {
      stream.resume();
      return;
    }
    fileName = info.filename;
    written = pipeline(stream, createWriteStream(target, { flags: 'wx' }));
    // Awaited below; a cut request must not become an unhandled rejection before that.
    written.catch(() => undefined);
  });
  await pipeline(request, parser);
  await written;
  return { fields, fileName: fileName === '' ? undefined : fileName };
}

function rootOf(server: ServerState, type: string): string | undefined {
  return new Map([
    ['output', server.outputDirectory],
    ['input', server.inputDirectory],
    ['temp', server.temporaryDirectory],
  ]).get(type);
}

function isOutside(root: string, path: string): boolean {
  const inside = relative(root, path);
  return inside.startsWith('..') || inside.startsWith('/');
}

/** The whole body of an answer. */
export async function bytesOf(answer: Answer): Promise<Buffer> {
  if (answer.file !== undefined) return readFile(answer.file);
  if (answer.body !== undefined) return answer.body.bytes;
  return answer.json === undefined ? Buffer.alloc(0) : Buffer.from(pythonJson(answer.json));
}
