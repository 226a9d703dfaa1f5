import { z } from 'zod';

import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import { batchNameFault } from '../batch-name.js';
import { confirmUpload, type UploadResult } from './confirm-upload.js';
import { downloadBatch, type DownloadedFile, type DownloadProgress } from './download-batch.js';
import { SignzMindHttp, type HttpOptions } from './http.js';
import { ServerAnswerError } from './server-errors.js';
import type { ModelUpload, UploadProgress } from './upload-model.js';

export interface SignzMindClientOptions extends HttpOptions {
  /** A batch with more decoded bytes is refused. Default 2 GiB. */
  readonly maxBatchBytes?: number;
  /** Longest time without any byte moving. Defaults are those of the original tower: 30, 120 and 300 s. */
  readonly timeouts?: Partial<Timeouts>;
}

interface Timeouts {
  readonly requestMs: number;
  readonly downloadMs: number;
  readonly uploadMs: number;
}

export interface BatchListing {
  /** Usable names, ascending, each once. */
  readonly names: readonly string[];
  /** Names that Tower will not touch, cut to 80 characters, with the reason. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

export interface LatestVersion {
  /** `null`: the server has no model yet, or does not say. */
  readonly version: string | null;
  readonly notes: string | null;
}

type RequestOptions = Partial<Pick<ServiceOptions, 'signal'>>;

const listingSchema = z.looseObject({ new_batch_files: z.array(z.string()).default([]) });
const latestSchema = z.looseObject({
  latest_model_version: z.string().nullish(),
  metadata: z.looseObject({ notes: z.string().nullish() }).nullish(),
});
const objectSchema = z.looseObject({});

/**
 * The tower's side of the Signz-Mind server (contract signz-mind 1). Every call is safe to repeat. No error, log or
 * inspection of this object shows the key.
 *
 * Errors are {@link TowerError}s: `SERVER_KEY_REJECTED`, `SERVER_ANSWER_INVALID`, `SERVER_NOT_FOUND`,
 * `SERVER_REDIRECTED`, `SERVER_REFUSED` (not retryable); `SERVER_UNREACHABLE`, `SERVER_TIMEOUT`, `SERVER_FAILED`,
 * `DOWNLOAD_INCOMPLETE` (retryable).
 */
export class SignzMindClient {
  readonly #http: SignzMindHttp;
  readonly #maxBatchBytes: number;
  readonly #timeouts: Timeouts;

  /** @throws TowerError `SERVER_URL_INVALID`, `SERVER_KEY_MISSING` */
  constructor(options: SignzMindClientOptions) {
    this.#http = new SignzMindHttp(options);
    this.#maxBatchBytes = options.maxBatchBytes ?? 2 * 1024 ** 3;
    this.#timeouts = { requestMs: 30_000, downloadMs: 120_000, uploadMs: 300_000, ...options.timeouts };
  }

  /** `GET /data/list_new_batches` (1.1). A failed listing throws; an empty one is an answer. */
  async listNewBatches(options: RequestOptions = {}): Promise<BatchListing> {
    const name = 'GET /data/list_new_batches';
    const value = await this.#http.json({
      method: 'GET',
      path: '/data/list_new_batches',
      timeoutMs: this.#timeouts.requestMs,
      signal: options.signal,
    });
    const parsed = listingSchema.safeParse(value);
    if (!parsed.success) throw new ServerAnswerError(name, 'an object with the list new_batch_files', kindOf(value));
    const names = [...new Set(parsed.data.new_batch_files)].sort();
    const checked = names.map((entry) => ({ name: entry, reason: batchNameFault(entry) }));
    return {
      names: checked.filter(({ reason }) => reason === undefined).map((entry) => entry.name),
      refused: checked.flatMap((entry) =>
        entry.reason === undefined ? [] : [{ name: entry.name.slice(0, 80), reason: entry.reason }],
      ),
    };
  }

  /** `GET /data/download_batch/{name}` (1.2) into `<directory>/<name>`, decoded, durable, all or nothing. */
  async downloadBatch(
    name: string,
    directory: string,
    options: Partial<Pick<ServiceOptions<DownloadProgress>, 'signal' | 'onProgress'>> = {},
  ): Promise<DownloadedFile> {
    return downloadBatch(
      this.#http,
      { name, directory, maxBytes: this.#maxBatchBytes },
      { signal: options.signal ?? neverAborted, onProgress: options.onProgress, timeoutMs: this.#timeouts.downloadMs },
    );
  }

  /**
   * `POST /data/mark_batch_processed/{name}` (1.3). A 404, and a success that is not JSON, count as done when a fresh
   * listing no longer has the name.
   */
  async markBatchProcessed(name: string, options: RequestOptions = {}): Promise<'marked' | 'already-marked'> {
    const path = `/data/mark_batch_processed/${encodeURIComponent(name)}`;
    try {
      const value = await this.#http.json({
        method: 'POST',
        path,
        timeoutMs: this.#timeouts.requestMs,
        signal: options.signal,
      });
      if (objectSchema.safeParse(value).success) return 'marked';
      throw new ServerAnswerError(`POST ${path}`, 'a JSON object', kindOf(value));
    } catch (error) {
      const code = error instanceof TowerError ? error.code : undefined;
      if (code !== 'SERVER_NOT_FOUND' && code !== 'SERVER_ANSWER_INVALID') throw error;
      const { names } = await this.listNewBatches(options);
      if (names.includes(name)) throw error;
      return code === 'SERVER_NOT_FOUND' ? 'already-marked' : 'marked';
    }
  }

  /**
   * `GET /model/latest_version` (2.4), a route that not every server has and that needs a role of its own.
   *
   * @returns `undefined` when the server does not offer it to this key.
   */
  async latestVersion(options: RequestOptions = {}): Promise<LatestVersion | undefined> {
    try {
      const value = await this.#http.json({
        method: 'GET',
        path: '/model/latest_version',
        timeoutMs: this.#timeouts.requestMs,
        signal: options.signal,
      });
      const parsed = latestSchema.safeParse(value);
      if (!parsed.success) return undefined;
      const { latest_model_version: version, metadata } = parsed.data;
      return { version: version === '' ? null : (version ?? null), notes: metadata?.notes ?? null };
    } catch (error) {
      if (error instanceof TowerError && isUnavailable(error)) return undefined;
      throw error;
    }
  }

  /**
   * `POST /model/upload` (1.4), so that the server has this very version once, however often this is called: it looks
   * first, and after a doubtful answer it looks again.
   */
  async uploadModel(
    upload: ModelUpload,
    options: Partial<Pick<ServiceOptions<UploadProgress>, 'signal' | 'onProgress'>> = {},
  ): Promise<UploadResult> {
    const signal = options.signal ?? neverAborted;
    return confirmUpload(upload, {
      http: this.#http,
      latestVersion: () => this.latestVersion({ signal }),
      send: { signal, onProgress: options.onProgress, timeoutMs: this.#timeouts.uploadMs },
    });
  }
}

const neverAborted = new AbortController().signal;

/** 404 and 405: no such route; 403: not for this key; an answer that is no JSON: something else lives there. */
function isUnavailable(error: TowerError): boolean {
  const status = error.details['status'];
  return status === 403 || status === 404 || status === 405 || error.code === 'SERVER_ANSWER_INVALID';
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object'
    ? `an object with ${Object.keys(value).slice(0, 5).join(', ')}`
    : `a ${typeof value}`;
}
