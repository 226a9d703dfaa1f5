import type { CharacterRun } from './character-run.js';

/** Facts that only the caller knows. */
export interface SidecarFacts {
  readonly towerVersion: string;
  readonly comfyui: { readonly version: string; readonly simulated: boolean } | null;
  /** sd-scripts' commit or version, Python, torch, as the driver reports them. */
  readonly trainer: Readonly<Record<string, string | number | boolean | null>>;
  readonly simulated: boolean;
}

/** Writes the sidecar JSON beside the published LoRA: everything it was made from. @returns its path. */
export declare function writeSidecar(run: CharacterRun, facts: SidecarFacts): Promise<string>;
