import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { z } from 'zod';

import type { Log } from '../log/logger.js';
import {
  acceptedSchema,
  historyIdsSchema,
  historySchema,
  jobSchema,
  nodeDeclarationSchema,
  queueSchema,
  rejectionSchema,
  systemStatsSchema,
  type FinishedPrompt,
  type Job,
  type NodeDeclaration,
  type OutputFile,
  type PromptQueue,
  type SystemStats,
} from './answers.js';
import { ComfyuiAnswerTooLargeError, GraphRejectedError } from './comfyui-errors.js';
import { downloadOutput, type DownloadedOutput } from './download-output.js';
import type { Graph } from './graph.js';
import { ComfyuiHttp, nameOf, parseJson, type HttpRequest } from './http.js';

export interface ComfyuiClientOptions {
  /** `http://host:port`; may have a path prefix. */
  readonly baseUrl: string;
  readonly log: Log;
  /** Longest time without a byte, in milliseconds; a whole answer may take {@link wholeAnswerFactor} times as long. */
  readonly timeouts?: Partial<Timeouts>;
}

interface Timeouts {
  /** Default 15 s. */
  readonly requestMs: number;
  /** Default 60 s: ComfyUI checks the graph before it answers. */
  readonly submitMs: number;
  /** Default 60 s. */
  readonly downloadMs: number;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export interface ServerFacts {
  readonly version: string;
  /** It is a simulated server, not ComfyUI: its version ends with `+simulated`. */
  readonly simulated: boolean;
  /** Names of its devices, the first one renders. */
  readonly devices: readonly string[];
}

export interface PromptSubmission {
  /** Lower-case hyphenated UUID. */
  readonly promptId: string;
  readonly graph: Graph;
  /** WebSocket session that gets the prompt's messages. */
  readonly clientId?: string | undefined;
  /** Written into the PNGs, one text chunk per key (section 9). */
  readonly pngInfo?: Readonly<Record<string, unknown>>;
}

/**
 * A ComfyUI server (contracts/comfyui.md), all dialects. Every request is made once; what may be repeated, and when, is
 * for the caller to say.
 *
 * Errors are {@link TowerError}s: `COMFYUI_UNREACHABLE`, `COMFYUI_TIMEOUT`, `COMFYUI_FAILED` (5xx), which are retryable;
 * `COMFYUI_NOT_FOUND`, `COMFYUI_REFUSED` (other statuses), `COMFYUI_ANSWER_INVALID`, which are not.
 */
export interface ComfyuiClient {
  readonly baseUrl: string;
  serverFacts(options?: RequestOptions): Promise<ServerFacts>;
  systemStats(options?: RequestOptions): Promise<SystemStats>;
  /**
   * `POST /prompt` (2). ComfyUI does not notice when an id is submitted twice.
   *
   * @returns the id under which ComfyUI runs it: versions before 0.3.45 choose their own.
   * @throws GraphRejectedError also when ComfyUI has taken a part of the graph: the prompt is then in its queue.
   */
  submit(submission: PromptSubmission, options?: RequestOptions): Promise<{ readonly promptId: string }>;
  queue(options?: RequestOptions): Promise<PromptQueue>;
  /** `GET /history/<id>` (4). @returns `undefined` when ComfyUI does not know the prompt or has not ended it. */
  history(promptId: string, options?: RequestOptions): Promise<FinishedPrompt | undefined>;
  /** Ids of the newest finished prompts, of whomever; of fewer where graphs of others are too large for one answer. */
  recentHistory(maxItems: number, options?: RequestOptions): Promise<readonly string[]>;
  /** `GET /api/jobs/<id>` (5). @returns `unsupported` where ComfyUI is older than 0.6.0. */
  job(promptId: string, options?: RequestOptions): Promise<Job | 'unknown' | 'unsupported'>;
  /** `POST /api/jobs/<id>/cancel` (5). @returns `unsupported` where ComfyUI cannot do that. */
  cancelJob(promptId: string, options?: RequestOptions): Promise<'cancelled' | 'not-active' | 'unsupported'>;
  /** `POST /queue` (3): takes prompts that wait out of the queue. Says nothing of what it did. */
  deleteQueued(promptIds: readonly string[], options?: RequestOptions): Promise<void>;
  /** `POST /interrupt` (3) for this prompt. Versions before 0.3.57 interrupt whatever runs. */
  interrupt(promptId: string, options?: RequestOptions): Promise<void>;
  /** `POST /free` (3): takes effect after the running prompt. Default: both. */
  free(what?: { unloadModels?: boolean; freeMemory?: boolean }, options?: RequestOptions): Promise<void>;
  /** `GET /view` (7.1) into a file, complete and on disk, or not there. @throws also TowerError `COMFYUI_DOWNLOAD_CUT` (retryable) */
  view(output: OutputFile, target: string, options?: RequestOptions): Promise<DownloadedOutput>;
  /** `GET /object_info/<class>` (10). @returns `undefined` for a class that is not installed. */
  objectInfo(classType: string, options?: RequestOptions): Promise<NodeDeclaration | undefined>;
  /** `GET /models/<folder>` (7.3): paths below the model folder, with the server's own separators. */
  models(folder: string, options?: RequestOptions): Promise<string[]>;
  /** `GET /view_metadata/<folder>` (7.3): the metadata of a safetensors file, `undefined` where there is none. */
  viewMetadata(
    folder: string,
    filename: string,
    options?: RequestOptions,
  ): Promise<Readonly<Record<string, string>> | undefined>;
  /** `POST /upload/image` (7.2). @returns what a graph calls the image, which may differ from `name`. */
  uploadImage(image: ImageUpload, options?: RequestOptions): Promise<string>;
}

export interface ImageUpload {
  readonly path: string;
  /** Default: the file's own name. */
  readonly name?: string;
  readonly subfolder?: string;
  readonly overwrite?: boolean;
}

/** @throws TowerError `COMFYUI_URL_INVALID` */
export function createComfyuiClient({ baseUrl, log, timeouts }: ComfyuiClientOptions): ComfyuiClient {
  const http = new ComfyuiHttp(baseUrl);
  const { requestMs, submitMs, downloadMs } = { requestMs: 15_000, submitMs: 60_000, downloadMs: 60_000, ...timeouts };
  const get = (path: string, { signal }: RequestOptions, more: Partial<HttpRequest> = {}): HttpRequest => ({
    ...{ method: 'GET', path, timeoutMs: requestMs, signal },
    ...more,
  });
  const post = (path: string, body: unknown, { signal }: RequestOptions): HttpRequest => ({
    ...{ method: 'POST', path, body, timeoutMs: requestMs, signal },
  });

  /** A server without the jobs API is asked for it once: queue and history do as well. */
  let hasJobs = true;

  const client: ComfyuiClient = {
    baseUrl: http.baseUrl,
    async serverFacts(options = {}) {
      const { system, devices } = await client.systemStats(options);
      const version = system.comfyui_version;
      return { version, simulated: version.endsWith('+simulated'), devices: devices.map(({ name }) => name) };
    },
    systemStats: (options = {}) => http.json(get('/system_stats', options), systemStatsSchema),

    async submit({ promptId, graph, clientId, pngInfo }, options = {}) {
      const body = {
        prompt: graph,
        prompt_id: promptId,
        ...(clientId !== undefined && { client_id: clientId }),
        ...(pngInfo !== undefined && { extra_data: { extra_pnginfo: pngInfo } }),
      };
      const request = { ...post('/prompt', body, options), timeoutMs: submitMs, accept: [400] };
      const answer = await http.text(request);
      if (answer.status === 400) {
        const { error, node_errors: nodeErrors } = parseJson(nameOf(request), answer.text, rejectionSchema);
        throw new GraphRejectedError(graph, { error, nodeErrors });
      }
      const accepted = parseJson(nameOf(request), answer.text, acceptedSchema);
      if (Object.keys(accepted.node_errors).length > 0) {
        throw new GraphRejectedError(graph, { error: undefined, nodeErrors: accepted.node_errors });
      }
      return { promptId: accepted.prompt_id };
    },

    queue: (options = {}) => http.json(get('/queue', options), queueSchema),
    async history(promptId, options = {}) {
      const found = await http.json(get(`/history/${encodeURIComponent(promptId)}`, options), historySchema);
      return found[promptId];
    },
    async recentHistory(maxItems, options = {}) {
      for (let items = maxItems; ; items = Math.ceil(items / 4)) {
        try {
          return await http.json(get('/history', options, { query: { max_items: items } }), historyIdsSchema);
        } catch (error) {
          if (!(error instanceof ComfyuiAnswerTooLargeError) || items <= 1) throw error;
        }
      }
    },

    async job(promptId, options = {}) {
      if (!hasJobs) return 'unsupported';
      const request = get(`/api/jobs/${encodeURIComponent(promptId)}`, options, { accept: [404, 405] });
      const answer = await http.text(request);
      if (answer.status === 200) return parseJson(nameOf(request), answer.text, jobSchema);
      hasJobs = isJsonError(answer.text);
      return hasJobs ? 'unknown' : 'unsupported';
    },
    async cancelJob(promptId, options = {}) {
      const path = `/api/jobs/${encodeURIComponent(promptId)}/cancel`;
      const request = { ...post(path, {}, options), accept: [404, 405] };
      const answer = await http.text(request);
      if (answer.status !== 200) return isJsonError(answer.text) ? 'not-active' : 'unsupported';
      const { cancelled } = parseJson(nameOf(request), answer.text, z.looseObject({ cancelled: z.boolean() }));
      return cancelled ? 'cancelled' : 'not-active';
    },
    async deleteQueued(promptIds, options = {}) {
      await http.text(post('/queue', { delete: promptIds }, options));
    },
    async interrupt(promptId, options = {}) {
      await http.text(post('/interrupt', { prompt_id: promptId }, options));
    },
    async free({ unloadModels = true, freeMemory = true } = {}, options = {}) {
      await http.text(post('/free', { unload_models: unloadModels, free_memory: freeMemory }, options));
    },

    async view(output, target, options = {}) {
      const query = { filename: output.filename, subfolder: output.subfolder, type: output.type };
      const request = get('/view', options, { query, timeoutMs: downloadMs });
      return downloadOutput(http, request, target);
    },

    async objectInfo(classType, options = {}) {
      const request = get(`/object_info/${encodeURIComponent(classType)}`, options);
      const found = await http.json(request, z.record(z.string(), nodeDeclarationSchema));
      return Object.hasOwn(found, classType) ? found[classType] : undefined;
    },
    models: (folder, options = {}) =>
      http.json(get(`/models/${encodeURIComponent(folder)}`, options), z.array(z.string())),
    async viewMetadata(folder, filename, options = {}) {
      const request = get(`/view_metadata/${encodeURIComponent(folder)}`, options, {
        query: { filename },
        accept: [404],
      });
      const answer = await http.text(request);
      if (answer.status === 404) return undefined;
      return parseJson(nameOf(request), answer.text, z.record(z.string(), z.string()));
    },

    async uploadImage({ path, name = basename(path), subfolder = '', overwrite = false }, options = {}) {
      const form = new FormData();
      form.set('image', new Blob([await readFile(path)]), name);
      form.set('subfolder', subfolder);
      form.set('overwrite', String(overwrite));
      const stored = await http.json(
        post('/upload/image', form, options),
        z.looseObject({ name: z.string(), subfolder: z.string().default('') }),
      );
      log.debug({ stored: stored.name, asked: name }, 'image uploaded to ComfyUI');
      return stored.subfolder === '' ? stored.name : `${stored.subfolder}/${stored.name}`;
    },
  };
  return client;
}

/** A 404 of the jobs API itself says why, in JSON; that of a server without this route does not. */
function isJsonError(body: string): boolean {
  try {
    return z.looseObject({ error: z.unknown() }).safeParse(JSON.parse(body)).success;
  } catch {
    return false;
  }
}
