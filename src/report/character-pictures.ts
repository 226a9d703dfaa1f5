import sharp from 'sharp';

import { undefinedIfAbsent } from '../files/absent.js';
import { readFile } from 'node:fs/promises';
import type { CharacterReport } from './character-report.js';

/** Small pictures for a page as data URIs, by the paths of the images. */
export type Pictures = ReadonlyMap<string, string>;

/** More would make a page that no browser likes; all images are on the contact sheets. */
export const shownImages = 240;
export const shownRejects = 80;
const thumbnail = 176;
const sample = 132;
const proof = 420;

/** Reads and shrinks the images that a report shows. One that is gone, or is none, is left out. */
export async function readPictures(
  { images, rejected, choice, proof: proven }: CharacterReport,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<Pictures> {
  const pictures = new Map<string, string>();
  const wanted: [path: string | null | undefined, size: number][] = [
    ...images.slice(0, shownImages).map(({ path }) => [path, thumbnail] as [string, number]),
    ...rejected.slice(0, shownRejects).map(({ path }) => [path, thumbnail] as [string | null, number]),
    ...(choice?.epochs ?? []).flatMap(({ samples }) => samples.map((path) => [path, sample] as [string, number])),
    [proven?.withoutLora, proof],
    [proven?.withLora, proof],
  ];
  for (const [path, size] of wanted) {
    signal?.throwIfAborted();
    const uri = typeof path === 'string' ? await dataUri(path, size) : undefined;
    if (uri !== undefined && typeof path === 'string') pictures.set(path, uri);
  }
  return pictures;
}

async function dataUri(path: string, size: number): Promise<string | undefined> {
  const bytes = await readFile(path).catch(undefinedIfAbsent);
  if (bytes === undefined) return undefined;
  try {
    const small = sharp(bytes, { failOn: 'none' }).resize(size, size, { fit: 'inside', withoutEnlargement: true });
    return `data:image/jpeg;base64,${(await small.flatten({ background: '#fff' }).jpeg({ quality: 80 }).toBuffer()).toString('base64')}`;
  } catch {
    // A rejected image may be none at all; the page says why it was rejected.
    return undefined;
  }
}
