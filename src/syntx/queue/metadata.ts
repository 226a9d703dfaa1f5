import { readFile } from 'node:fs/promises';

import { undefinedIfAbsent } from '../../files/absent.js';
import { plainFileFault } from './plain-file.js';

/** A job's JSON as it is on disk, keys in their order; own keys of Tower are under `tower`. */
export type Metadata = Readonly<Record<string, unknown>>;

/** UTF-8, indented by two, nothing escaped that need not be, no newline at the end (contract syntx 1.3). */
export function metadataText(metadata: Metadata): string {
  return JSON.stringify(metadata, null, 2);
}

/** Broken metadata reads as `broken` with the reason; nothing there as `absent`. */
export type MetadataFile =
  | { readonly state: 'read'; readonly metadata: Metadata }
  | { readonly state: 'absent' }
  | { readonly state: 'broken'; readonly fault: string };

export function parseMetadata(text: string): Exclude<MetadataFile, { state: 'absent' }> {
  const broken = (fault: string) => ({ state: 'broken', fault }) as const;
  if (text.trim() === '') return broken('the metadata is empty');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return broken(`the metadata is no JSON (${(error as Error).message})`);
  }
  return isRecord(value) ? { state: 'read', metadata: value } : broken('the metadata is no JSON object');
}

export async function readMetadata(path: string): Promise<MetadataFile> {
  const fault = await plainFileFault(path, 'the metadata are');
  if (fault !== undefined) return { state: 'broken', fault };
  const read = await readFile(path, 'utf8').catch(undefinedIfAbsent);
  return read === undefined ? { state: 'absent' } : parseMetadata(read);
}

/** Tower's own keys. */
export function ownKeys(metadata: Metadata): Metadata {
  const own = metadata['tower'];
  return isRecord(own) ? own : {};
}

/** With these keys of Tower added; they come last and no reader of the original looks at them. */
export function withOwnKeys(metadata: Metadata, keys: Metadata): Metadata {
  const others = Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== 'tower'));
  return { ...others, tower: { ...ownKeys(metadata), ...keys } };
}

/** Without the mark of a simulated answer. */
export function withoutSimulated(metadata: Metadata): Metadata {
  const { simulated, ...own } = ownKeys(metadata);
  return simulated === undefined ? metadata : { ...metadata, tower: own };
}

/**
 * Takes an earlier result out of the place where readers look for the present one: a job that is tried anew has no score
 * until it is scored. The earlier one is kept under Tower's own key, and with it whether it was simulated.
 */
export function withoutResult(metadata: Metadata): Metadata {
  const { simulated, ...own } = ownKeys(metadata);
  if (!isRecord(metadata['syntex_result'])) return simulated === undefined ? metadata : { ...metadata, tower: own };
  const { syntex_result: result, processed_at: processedAt, ...rest } = metadata;
  const earlier = own['earlier_results'];
  const kept = [
    ...(Array.isArray(earlier) ? (earlier as unknown[]) : []),
    { syntex_result: result, at: processedAt, ...(simulated === true && { simulated }) },
  ];
  return withOwnKeys({ ...rest, tower: own }, { earlier_results: kept });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
