import { readFile } from 'node:fs/promises';

import { undefinedIfAbsent } from '../../files/absent.js';
import { readMetadata, type Metadata } from './metadata.js';
import { plainFileFault } from './plain-file.js';

/** Prompt and metadata of a job, or why they make no job. */
export type JobFiles =
  | { readonly state: 'read'; readonly prompt: string; readonly metadata: Metadata }
  | { readonly state: 'absent' }
  | { readonly state: 'broken'; readonly fault: string };

/** @returns `absent` without a prompt. A prompt without metadata has empty metadata, as consumers of the original see it. */
export async function readJobFiles(promptFile: string, metadataFile: string): Promise<JobFiles> {
  const unfit = await plainFileFault(promptFile, 'the prompt is');
  if (unfit !== undefined) return { state: 'broken', fault: unfit };
  const bytes = await readFile(promptFile).catch(undefinedIfAbsent);
  if (bytes === undefined) return { state: 'absent' };
  const prompt = textOf(bytes);
  if (prompt === undefined) return { state: 'broken', fault: 'the prompt is no UTF-8' };
  if (prompt.trim() === '') return { state: 'broken', fault: 'the prompt is empty' };
  const found = await readMetadata(metadataFile);
  if (found.state === 'broken') return found;
  return { state: 'read', prompt, metadata: found.state === 'read' ? found.metadata : {} };
}

function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
