import { EventEmitter, once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { text, type Answer } from './answers.js';
import { dialects, type Dialect } from './dialect.js';
import { Faults, type FaultRule, type RequestFault } from './faults.js';
import { fileRoutes } from './file-routes.js';
import { filesIn } from './image-nodes.js';
import { informationRoutes } from './information-routes.js';
import { Instance } from './instance.js';
import { jobsRoutes } from './jobs-routes.js';
import { isForeignOrigin, Listener } from './listener.js';
import { ModelFolders, modelFolderNames } from './model-folders.js';
import { promptRoutes } from './prompt-routes.js';
import { findRoute, type Route, type ServerState } from './route.js';
import { sendAnswer } from './send-answer.js';
import { defaultSettings, settingsSchema, type Settings } from './settings.js';
import { simRoutes } from './sim-routes.js';
import { placeSimulatedCheckpoints } from './simulated-checkpoint.js';
import { Statistics, type StatisticsReport } from './statistics.js';

export interface ComfyuiServerOptions {
  /** Holds `models`, `input`, `output` and `temp`, as `--base-directory` does. */
  readonly directory: string;
  /** Another models folder; its sub-folders `checkpoints`, `loras` and so on are listed as they are. */
  readonly models?: string;
  /**
   * Checkpoints to be put where they are missing: whole safetensors files that say `simulated`. Default: DreamShaper 8, the
   * one of the default graph; none for a models folder that was given.
   */
  readonly checkpoints?: readonly string[];
  /** 0, the default, takes a free port. Loopback only. */
  readonly port?: number;
  /** Default B. */
  readonly dialect?: Dialect;
  readonly settings?: Partial<Settings>;
  readonly faults?: readonly FaultRule[];
  /** What the fault `kill` does; without it such a fault is refused. */
  readonly kill?: () => void;
}

export interface ComfyuiServer {
  /** Base address, without a slash at the end. */
  readonly address: string;
  readonly outputDirectory: string;
  readonly modelsDirectory: string;
  /** @throws ZodError for a fault that is not known */
  addFaults(rules: readonly FaultRule[]): void;
  clearFaults(): void;
  change(settings: Partial<Settings>): void;
  statistics(): StatisticsReport;
  /** Cuts all connections, forgets queue, history and caches, and is back at the same address so many milliseconds later. */
  restart(downMs?: number): Promise<void>;
  close(): Promise<void>;
}

const routes: readonly Route[] = [...promptRoutes, ...jobsRoutes, ...fileRoutes, ...informationRoutes];

/**
 * A simulated ComfyUI that speaks the protocol of the real one (contract comfyui): queue, history, jobs, WebSocket, files,
 * models, caches. Pictures follow from seed, prompts and LoRAs, but no model is run.
 *
 * It never claims to be real: its version ends with `+simulated`, every answer has the header `X-Simulated: true`, every PNG
 * a text chunk `simulated`.
 *
 * @throws NodeJS.ErrnoException `EADDRINUSE`; ZodError for settings or faults that are not known
 */
export async function startComfyuiServer(options: ComfyuiServerOptions): Promise<ComfyuiServer> {
  const folders = await prepareFolders(options);
  const settings: Settings = { ...defaultSettings, ...settingsSchema.parse(options.settings ?? {}) };
  const settingsEvents = new EventEmitter().setMaxListeners(0);
  const statistics = new Statistics();
  const faults = new Faults(options.kill !== undefined);
  faults.add(options.faults ?? []);
  const dialect = dialects[options.dialect ?? 'B'];
  const closing = new AbortController();

  const newInstance = () =>
    new Instance({
      ...{ ...folders, dialect, settings, settingsEvents, statistics },
      restart: (downMs) => void restart(downMs),
      kill: () => options.kill?.(),
    });
  let instance = newInstance();
  const state: ServerState = {
    ...{ ...folders, dialect, settings, statistics, faults, change, restart },
    instance: () => instance,
  };
  const listener = new Listener(options.port ?? 0, {
    request: (request, response) => void handle(request, response),
    socket: (socket, clientId) => {
      statistics.socketsOpened += 1;
      instance.sockets.add(socket, clientId);
    },
    answers: () => settings.wedged !== 'http',
  });

  function change(changes: Partial<Settings>): void {
    Object.assign(settings, settingsSchema.parse(changes));
    settingsEvents.emit('change');
  }

  async function restart(downMs = 0): Promise<void> {
    statistics.restarts += 1;
    instance.stop();
    await listener.close();
    await pause(downMs, undefined, { signal: closing.signal }).catch(() => undefined);
    if (closing.signal.aborted) return;
    await rm(folders.temporaryDirectory, { recursive: true, force: true });
    await mkdir(folders.temporaryDirectory);
    instance = newInstance();
    await listener.open();
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://simulated');
    const method = request.method ?? 'GET';
    const ownPath = url.pathname.startsWith('/sim/');
    const found = findRoute(ownPath ? simRoutes : routes, method, url.pathname);
    const route = typeof found === 'object' ? `${method} ${found.route.pattern}` : `${method} ${url.pathname}`;
    let fault: RequestFault | undefined;
    if (!ownPath) {
      while (settings.wedged === 'http') await once(settingsEvents, 'change');
      statistics.countRequest(route);
      fault = faults.ofRequest(route, `${url.pathname}${url.search}`);
    }
    const answer = answerInstead(fault) ?? (await answerOf(found, { request, url, server: state }));
    if (!request.complete) request.resume();
    const asked = instance;
    await sendAnswer({ request, response }, answer, { fault, ended: (id) => asked.ended(id) });
  }

  await listener.open();
  return {
    get address() {
      return listener.address;
    },
    outputDirectory: folders.outputDirectory,
    modelsDirectory: folders.modelsDirectory,
    addFaults: (rules) => {
      faults.add(rules);
    },
    clearFaults: () => {
      faults.clear();
    },
    change,
    statistics: () => statistics.report(),
    restart,
    async close() {
      closing.abort();
      instance.stop();
      await listener.close();
    },
  };
}

type Folders = Pick<ServerState, 'models' | 'inputFiles' | 'inputPath'> &
  Pick<ServerState, 'outputDirectory' | 'inputDirectory' | 'temporaryDirectory'> & {
    readonly modelsDirectory: string;
  };

async function prepareFolders({ directory, models, checkpoints }: ComfyuiServerOptions): Promise<Folders> {
  const modelsDirectory = models ?? join(directory, 'models');
  const outputDirectory = join(directory, 'output');
  const inputDirectory = join(directory, 'input');
  const temporaryDirectory = join(directory, 'temp');
  await rm(temporaryDirectory, { recursive: true, force: true });
  for (const folder of [outputDirectory, inputDirectory, temporaryDirectory]) await mkdir(folder, { recursive: true });
  if (models === undefined) {
    for (const folder of modelFolderNames) await mkdir(join(modelsDirectory, folder), { recursive: true });
  }
  const wanted = checkpoints ?? (models === undefined ? ['dreamshaper_8.safetensors'] : []);
  await placeSimulatedCheckpoints(join(modelsDirectory, 'checkpoints'), wanted);
  return {
    ...{ modelsDirectory, outputDirectory, inputDirectory, temporaryDirectory },
    models: new ModelFolders(modelsDirectory, outputDirectory),
    inputFiles: () => filesIn(inputDirectory),
    inputPath: (name) => join(inputDirectory, name),
  };
}

/** What a fault answers so that nothing is done. */
function answerInstead(fault: RequestFault | undefined): Answer | undefined {
  if (fault?.kind === 'status') return text(fault.status, fault.body);
  if (fault?.kind === 'replace') {
    return { status: 200, body: { bytes: Buffer.from(fault.body), type: fault.contentType } };
  }
  return fault?.kind === 'reset' && fault.when === 'before-acting' ? { status: 200 } : undefined;
}

async function answerOf(
  found: ReturnType<typeof findRoute>,
  context: { readonly request: IncomingMessage; readonly url: URL; readonly server: ServerState },
): Promise<Answer> {
  if (isForeignOrigin(context.request)) return { status: 403 };
  // The web page's catch-all answers an unknown address with nothing.
  if (found === 404) return { status: 404 };
  if (found === 405) return text(405, '405: Method Not Allowed');
  try {
    return await found.route.handle({ ...context, parameter: found.parameter });
  } catch {
    // As the real server: an exception in a handler, whatever its reason, is this text.
    return text(500, '500 Internal Server Error\n\nServer got itself in trouble');
  }
}
