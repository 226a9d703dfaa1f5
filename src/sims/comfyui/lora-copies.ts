import { sha256OfFile } from '../../files/sha256.js';
import { readTensorContents } from '../../training/safetensors.js';
import { safetensorsOf } from './loader-nodes.js';

interface LoraCopy {
  readonly path: string;
  readonly content: string | null;
}

/**
 * What LoRA loader nodes hold: each keeps the file that it loaded last, and does not look again under the same path
 * (contract comfyui 7.4, "Stale LoRA").
 */
export class LoraCopies {
  readonly #copies = new Map<string, LoraCopy>();

  /**
   * @returns what identifies the weights; `null` when they change nothing.
   * @throws NodeError for a broken file
   */
  async content(node: string, path: string): Promise<string | null> {
    const known = this.#copies.get(node);
    if (known?.path === path) return known.content;
    const content = (await changesAnything(path)) ? await sha256OfFile(path) : null;
    this.#copies.set(node, { path, content });
    return content;
  }

  /** A node that is not in the graph that runs loses its copy. */
  keepOnly(nodes: readonly string[]): void {
    for (const node of this.#copies.keys()) if (!nodes.includes(node)) this.#copies.delete(node);
  }

  clear(): void {
    this.#copies.clear();
  }
}

/** A LoRA does nothing without `lora_up` weights that are not zero. */
async function changesAnything(path: string): Promise<boolean> {
  if (!/\.(safetensors|sft)$/i.test(path)) return true;
  const { tensors } = await safetensorsOf(path);
  const up = tensors.filter(({ name }) => /lora_up|lora_B/.test(name));
  const contents = await readTensorContents(path, up);
  return [...contents.values()].some(({ allZero }) => !allZero);
}
