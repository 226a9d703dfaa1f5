import { createHash } from 'node:crypto';

import { TowerError } from '../../errors.js';
import { sha256OfFile } from '../../files/sha256.js';
import type { ServiceOptions } from '../../service-options.js';
import type { SignzMindHttp } from './http.js';
import { ServerAnswerError } from './server-errors.js';
import type { LatestVersion } from './signz-mind-client.js';
import { sendModel, type ModelUpload, type UploadProgress } from './upload-model.js';

export interface UploadResult {
  /** `already-there`: the server had this very version before the call. */
  readonly outcome: 'uploaded' | 'already-there';
  /** What told so, for the record. */
  readonly evidence: string;
}

interface Access {
  readonly http: SignzMindHttp;
  readonly latestVersion: () => Promise<LatestVersion | undefined>;
  readonly send: Pick<ServiceOptions<UploadProgress>, 'signal' | 'onProgress'> & { readonly timeoutMs: number };
}

/**
 * Uploads a model so that a lost answer, a conflict or a repeat is no second model (contract signz-mind 4.3, W9 and W10).
 *
 * When the notes carry `sha256 <hex>`, a version on the server whose notes carry another hash is a conflict, not a success.
 *
 * @throws TowerError `MODEL_VERSION_CONFLICT` when the server has other content under this version
 */
export async function confirmUpload(upload: ModelUpload, access: Access): Promise<UploadResult> {
  const before = await access.latestVersion();
  if (isThisModel(before, upload)) {
    return { outcome: 'already-there', evidence: 'the latest version of the server before the upload' };
  }
  let doubt: TowerError;
  let accepted: string | undefined;
  try {
    const answer = await sendModel(access.http, upload, access.send);
    if (answer.understood) return { outcome: 'uploaded', evidence: "the server's answer" };
    doubt = new ServerAnswerError('POST /model/upload', 'JSON', answer.found);
    accepted = answer.found.includes('html') ? undefined : `a success status with ${answer.found}`;
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    if (error.details['status'] === 409) return resolveConflict(upload, access, error);
    if (!error.retryable) throw error;
    doubt = error;
  }
  const after = await look(access);
  if (isThisModel(after, upload)) {
    return { outcome: 'uploaded', evidence: `the latest version of the server, after: ${doubt.message}` };
  }
  // Where nobody may look, a success status that comes with no web page is all there is to know.
  if (after === undefined && accepted !== undefined) return { outcome: 'uploaded', evidence: accepted };
  throw doubt;
}

/** 409: the server has the version. It must not have it with other content. */
async function resolveConflict(upload: ModelUpload, access: Access, conflict: TowerError): Promise<UploadResult> {
  const stored = await storedSha256(upload, access);
  if (stored === undefined) {
    if (isThisModel(await access.latestVersion(), upload)) {
      return { outcome: 'already-there', evidence: 'the latest version of the server after a conflict' };
    }
    return { outcome: 'already-there', evidence: 'the server has this version and lets nobody look at it' };
  }
  if (stored === (await sha256OfFile(upload.file, access.send.signal))) {
    return { outcome: 'already-there', evidence: 'the same bytes on the server' };
  }
  throw new TowerError(
    'MODEL_VERSION_CONFLICT',
    `The server has another model under the version ${upload.version}: ${conflict.message}`,
    { next: 'Remove that version on the server, or start a cycle that trains a new one.' },
  );
}

/** SHA-256 of the server's copy; `undefined` when it does not give it to this key. */
async function storedSha256(upload: ModelUpload, { http, send }: Access): Promise<string | undefined> {
  try {
    const answer = await http.send({
      method: 'GET',
      path: `/model/download/${encodeURIComponent(upload.version)}`,
      timeoutMs: send.timeoutMs,
      signal: send.signal,
    });
    const hash = createHash('sha256');
    for await (const part of answer.body) hash.update(part);
    return hash.digest('hex');
  } catch (error) {
    if (error instanceof TowerError && !error.retryable) return undefined;
    throw error;
  }
}

/** After a lost answer the server may be gone altogether: then the first error is the one to report. */
async function look({ latestVersion }: Access): Promise<LatestVersion | undefined> {
  try {
    return await latestVersion();
  } catch (error) {
    if (error instanceof TowerError) return undefined;
    throw error;
  }
}

function isThisModel(latest: LatestVersion | undefined, upload: ModelUpload): boolean {
  if (latest?.version !== upload.version) return false;
  const [ours, theirs] = [hashIn(upload.notes), hashIn(latest.notes ?? '')];
  if (ours === undefined || theirs === undefined || ours === theirs) return true;
  throw new TowerError(
    'MODEL_VERSION_CONFLICT',
    `The server has another model under the version ${upload.version} (sha256 ${theirs}, ours ${ours})`,
    { next: 'Remove that version on the server, or start a cycle that trains a new one.' },
  );
}

function hashIn(notes: string): string | undefined {
  return /sha256[ :=]+(?<hash>[0-9a-f]{64})/.exec(notes)?.groups?.['hash'];
}
