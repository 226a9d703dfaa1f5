import { closeSync, mkdirSync, openSync } from 'node:fs';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { createComfyuiClient, type ComfyuiClient } from '../../comfyui/client.js';
import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { exists } from '../../files/exists.js';
import { listDevices } from '../../gpu/devices.js';
import type { Log } from '../../log/logger.js';
import { pickPort } from '../../temporal/free-ports.js';
import { startGuardedProcess, type GuardedProcess } from '../../temporal/guarded-process.js';
import type { AcceptanceOptions } from './options.js';

/** A ComfyUI to be proven with. */
export interface RealComfyui {
  readonly client: ComfyuiClient;
  readonly address: string;
  /** Folder with `models/loras` and `models/checkpoints`. */
  readonly directory: string;
  readonly simulated: boolean;
  readonly close: () => Promise<void>;
}

interface Place {
  readonly home: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const readyLimitMs = 300_000;
/** Of the files that ComfyUI lists as checkpoints. */
const checkpointEndings = new Set(['.safetensors', '.sft', '.ckpt', '.pt', '.pt2', '.pth', '.bin', '.pkl']);
const modelFolders = ['checkpoints', 'loras', 'vae', 'clip', 'text_encoders', 'diffusion_models', 'unet'];

/**
 * The one at the address, or one that is started from the folder with model and output folders of its own.
 *
 * @throws TowerError `USAGE`, `COMFYUI_UNREACHABLE`, `LORAS_FOLDER_MISSING`, `NOT_FOUND`, `COMFYUI_NOT_STARTED`, `NVIDIA_SMI_FAILED`; the reason of the
 * signal, with nothing left that was started
 */
export async function openComfyui(options: AcceptanceOptions, place: Place): Promise<RealComfyui> {
  const onGpu = await findsGpu(options);
  if (/^https?:\/\//.test(options.comfyui)) {
    const { comfyui: address, comfyuiDirectory } = options;
    if (comfyuiDirectory === undefined) {
      throw new TowerError('USAGE', '--comfyui-directory is missing: LoRAs are delivered into its models/loras', {
        next: 'Name the folder of that ComfyUI on this machine.',
      });
    }
    const directory = resolve(comfyuiDirectory);
    if (!(await exists(join(directory, 'models', 'loras')))) {
      throw new TowerError('LORAS_FOLDER_MISSING', `${join(directory, 'models', 'loras')} is not there`, {
        next: '--comfyui-directory is the folder of that ComfyUI on this machine, the one with models/ in it.',
      });
    }
    const client = createComfyuiClient({ baseUrl: address, log: place.log });
    const { simulated } = await client.serverFacts({ signal: place.signal });
    return { client, address, directory, simulated, close: () => Promise.resolve() };
  }
  return startComfyui(options, { ...place, onGpu });
}

/** Here, because Tower itself would wait for a driver that does not answer. */
async function findsGpu({ nvidiaSmi }: AcceptanceOptions): Promise<boolean> {
  try {
    return (await listDevices(nvidiaSmi)).some(({ kind }) => kind === 'cuda');
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    throw new TowerError(error.code, error.message, {
      cause: error.cause,
      next: 'Bring the driver back; to do without a GPU take `--nvidia-smi none`.',
    });
  }
}

async function startComfyui(
  options: AcceptanceOptions,
  { home, log, signal, onGpu }: Place & { readonly onGpu: boolean },
): Promise<RealComfyui> {
  const program = join(resolve(options.comfyui), 'main.py');
  if (!(await exists(program))) {
    throw new TowerError('NOT_FOUND', `${program} is not there`, {
      next: '--comfyui is the address of a running ComfyUI, or the folder with its main.py.',
    });
  }
  const directory = join(home, 'comfyui');
  await prepareFolders(directory, await checkpointFile(options));
  const port = await pickPort([]);
  const output = openLog(join(home, 'logs'));
  const python = options.comfyuiPython ?? options.python ?? 'python3';
  const process = await startGuardedProcess({
    command: python,
    args: [
      ...[program, ...(onGpu ? [] : ['--cpu']), '--listen', '127.0.0.1', '--port', String(port)],
      ...['--base-directory', directory, '--disable-all-custom-nodes', '--disable-api-nodes'],
      ...['--front-end-root', join(directory, 'front-end')],
    ],
    outputDescriptor: output,
  });
  closeSync(output);
  const address = `http://127.0.0.1:${port}`;
  const client = createComfyuiClient({ baseUrl: address, log });
  const close = async () => {
    await process.stop();
  };
  try {
    const { simulated } = await untilAnswering(client, process, { home, signal });
    return { client, address, directory, simulated, close };
  } catch (error) {
    // Also after Ctrl-C: what was started here would hold up the end of this process.
    await close();
    throw error;
  }
}

/** @throws TowerError `COMFYUI_NOT_STARTED`; the reason of the signal */
async function untilAnswering(
  client: ComfyuiClient,
  process: GuardedProcess,
  { home, signal }: Omit<Place, 'log'>,
): Promise<{ readonly simulated: boolean }> {
  let ended: string | undefined;
  void process.exited.then((exit) => (ended = exit.signal ?? `exit code ${exit.code}`));
  for (
    const deadline = performance.now() + readyLimitMs;
    ;
    await delay(1_000, undefined, { signal }).catch(() => undefined)
  ) {
    signal.throwIfAborted();
    try {
      return await client.serverFacts({ signal });
    } catch (error) {
      signal.throwIfAborted();
      if (ended === undefined && performance.now() < deadline) continue;
      const why = ended === undefined ? 'did not answer' : `ended (${ended})`;
      throw new TowerError('COMFYUI_NOT_STARTED', `ComfyUI ${why}`, {
        next: `Look at ${join(home, 'logs', 'comfyui.log')}; --comfyui-python names its Python.`,
        cause: error,
      });
    }
  }
}

/**
 * The checkpoint to render with, as ComfyUI lists it: also in a folder of its own, or by the name of its file alone. Without one
 * asked for the only one that there is.
 *
 * @throws TowerError `USAGE` when there is none, or a choice.
 */
export async function listedCheckpoint({ client, address }: RealComfyui, asked: string | undefined): Promise<string> {
  const listed = await client.models('checkpoints');
  if (asked !== undefined) return listed.includes(asked) ? asked : basename(asked);
  const [only, ...others] = listed;
  if (only !== undefined && others.length === 0) return only;
  throw noOneCheckpoint(`ComfyUI at ${address}`, listed);
}

/** Folders of its own, so that nothing of the user's ComfyUI is touched; a checkpoint is linked into them. */
async function prepareFolders(directory: string, checkpoint: string): Promise<void> {
  for (const folder of modelFolders) await mkdir(join(directory, 'models', folder), { recursive: true });
  for (const folder of ['input', 'output', 'custom_nodes', 'front-end']) {
    await mkdir(join(directory, folder), { recursive: true });
  }
  await writeFile(join(directory, 'front-end', 'index.html'), '<!doctype html><title>ComfyUI</title>\n');
  const link = join(directory, 'models', 'checkpoints', basename(checkpoint));
  if (!(await exists(link))) await symlink(checkpoint, link);
}

/** The file that is asked for, else the only one in that ComfyUI's models/checkpoints. @throws TowerError `NOT_FOUND`, `USAGE` */
async function checkpointFile({ comfyui, checkpoint }: AcceptanceOptions): Promise<string> {
  const folder = join(resolve(comfyui), 'models', 'checkpoints');
  if (checkpoint === undefined) return join(folder, await onlyCheckpoint(folder));
  const own = join(folder, checkpoint);
  const file = isAbsolute(checkpoint) || !(await exists(own)) ? resolve(checkpoint) : own;
  if (!(await exists(file))) throw new TowerError('NOT_FOUND', `${file} is not there`);
  return file;
}

async function onlyCheckpoint(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true }).catch(undefinedIfAbsent)) ?? [];
  const [only, ...others] = names.filter((name) => checkpointEndings.has(extname(name).toLowerCase())).sort();
  if (only !== undefined && others.length === 0) return only;
  throw noOneCheckpoint(folder, only === undefined ? [] : [only, ...others]);
}

function noOneCheckpoint(where: string, names: readonly string[]): TowerError {
  const choices = names.length === 0 ? '' : `: ${names.slice(0, 8).join(', ')}`;
  return new TowerError('USAGE', `there are ${names.length} checkpoints in ${where}, not one`, {
    next: `Choose one by --checkpoint${choices}.`,
  });
}

function openLog(folder: string): number {
  mkdirSync(folder, { recursive: true });
  return openSync(join(folder, 'comfyui.log'), 'a');
}
