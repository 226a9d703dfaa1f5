import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What ComfyUI lists in a models folder (contract comfyui 7.3). */
const extensions = new Set(['.ckpt', '.pt', '.pt2', '.bin', '.pth', '.safetensors', '.pkl', '.sft']);

export const modelFolderNames = [
  'checkpoints',
  'loras',
  'vae',
  'text_encoders',
  'diffusion_models',
  'clip_vision',
  'style_models',
  'embeddings',
  'controlnet',
  'upscale_models',
] as const;

interface Listing {
  readonly names: readonly string[];
  /** Modification time of each folder that was read, in milliseconds. */
  readonly folders: ReadonlyMap<string, number>;
}

/**
 * The lists of model files. As in the real server a list is kept and read again when the modification time of one of its
 * folders has changed or a root has appeared, so a file that is renamed into a folder shows up at once, and one that is
 * overwritten in place changes nothing.
 */
export class ModelFolders {
  readonly #models: string;
  readonly #output: string;
  readonly #listings = new Map<string, Listing>();

  constructor(models: string, output: string) {
    this.#models = models;
    this.#output = output;
  }

  /** `undefined` for a folder that ComfyUI does not know. */
  list(folder: string): readonly string[] | undefined {
    const roots = this.roots(folder);
    if (roots === undefined) return undefined;
    const kept = this.#listings.get(folder);
    if (kept !== undefined && isFresh(kept, roots)) return kept.names;
    const fresh = read(roots);
    this.#listings.set(folder, fresh);
    return fresh.names;
  }

  /** Search roots: LoRAs are also found in the output folder. */
  roots(folder: string): readonly string[] | undefined {
    if (!(modelFolderNames as readonly string[]).includes(folder)) return undefined;
    const own = join(this.#models, folder);
    return folder === 'loras' || folder === 'checkpoints' ? [own, join(this.#output, folder)] : [own];
  }

  /** Path of a listed file; `undefined` when no root has it. */
  find(folder: string, name: string): string | undefined {
    for (const root of this.roots(folder) ?? []) {
      const path = join(root, name);
      if (!relative(root, path).startsWith('..') && existsSync(path)) return path;
    }
    return undefined;
  }
}

function isFresh({ folders }: Listing, roots: readonly string[]): boolean {
  if (roots.some((root) => existsSync(root) && !folders.has(root))) return false;
  return [...folders].every(([folder, modified]) => modifiedAt(folder) === modified);
}

function read(roots: readonly string[]): Listing {
  const names = new Set<string>();
  const folders = new Map<string, number>();
  for (const root of roots) if (existsSync(root)) readInto(root, root, { names, folders });
  return { names: [...names].sort(), folders };
}

function readInto(root: string, folder: string, into: { names: Set<string>; folders: Map<string, number> }): void {
  into.folders.set(folder, modifiedAt(folder) ?? 0);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && statSync(path).isDirectory());
    if (isFolder) readInto(root, path, into);
    else if (extensions.has(extensionOf(entry.name))) into.names.add(relative(root, path));
  }
}

function modifiedAt(folder: string): number | undefined {
  return statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
}

/** As Python's `splitext`: a leading dot starts no extension. */
function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? '' : name.slice(dot).toLowerCase();
}
