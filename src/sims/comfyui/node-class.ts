import type { ModelFolders } from './model-folders.js';
import type { OutputFault } from './faults.js';
import type { AppliedLora, PictureRecipe, PictureSize } from './picture.js';

/** What goes over a link. Only what decides a picture is kept. */
export type NodeValue =
  | { readonly type: 'MODEL'; readonly text: string; readonly loras: readonly AppliedLora[] }
  | { readonly type: 'CLIP'; readonly text: string; readonly loras: readonly AppliedLora[] }
  | { readonly type: 'VAE'; readonly text: string }
  | { readonly type: 'CONDITIONING'; readonly text: string; readonly loras: readonly AppliedLora[] }
  /** `null` for an empty latent. */
  | { readonly type: 'LATENT'; readonly size: PictureSize; readonly batch: readonly (PictureRecipe | null)[] }
  | { readonly type: 'IMAGE'; readonly size: PictureSize; readonly batch: readonly PictureRecipe[] }
  | { readonly type: 'MASK' };

export type InputDeclaration =
  | { readonly kind: 'choice'; readonly choices: (folders: ListedFolders) => readonly string[] }
  | { readonly kind: 'link'; readonly type: NodeValue['type'] }
  | { readonly kind: 'INT' | 'FLOAT'; readonly options: NumberOptions }
  | { readonly kind: 'STRING' | 'BOOLEAN'; readonly options: Readonly<Record<string, unknown>> };

interface NumberOptions {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  readonly tooltip?: string;
}

/** Files that are there to choose from. */
export interface ListedFolders {
  readonly models: ModelFolders;
  /** Names in the input folder. */
  readonly inputFiles: () => readonly string[];
  readonly inputPath: (name: string) => string;
}

export type Inputs = Readonly<Record<string, InputDeclaration>>;

/** One entry of a SaveImage or PreviewImage output. */
export interface SavedFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: 'output' | 'temp';
}

export interface NodeResult {
  readonly outputs: readonly NodeValue[];
  /** What the history shows; for saved images `images`. */
  readonly ui?: { readonly images: readonly SavedFile[] };
}

/** What a node may use while it runs. */
export interface NodeContext extends ListedFolders {
  readonly outputDirectory: string;
  readonly temporaryDirectory: string;
  /** Text chunks of the PNGs. */
  readonly texts: Readonly<Record<string, string>>;
  /** Time that a sampler takes, in milliseconds. */
  readonly renderMs: number;
  /** Reports a step. @throws InterruptedError when the prompt was interrupted. */
  readonly step: (value: number, max: number) => Promise<void>;
  /** Waits in a step; rejects when the server goes down. */
  readonly wait: (ms: number) => Promise<void>;
  readonly paint: (recipe: PictureRecipe, size: PictureSize) => Promise<Buffer>;
  /** Content of a LoRA as the loader node holds it, which may be older than the file. `null`: changes nothing. */
  readonly loraContent: (path: string) => Promise<string | null>;
  readonly modelLoaded: () => void;
  readonly outputFault: OutputFault | undefined;
  /** The sampled picture that was saved last by another prompt. */
  readonly lastSaved: PictureRecipe | undefined;
  readonly saved: (recipe: PictureRecipe) => void;
}

export interface NodeClass {
  readonly name: string;
  readonly displayName: string;
  readonly category: string;
  readonly required: Inputs;
  readonly optional?: Inputs;
  readonly hidden?: Readonly<Record<string, string>>;
  readonly outputs: readonly { readonly type: NodeValue['type']; readonly name: string }[];
  readonly isOutput: boolean;
  /** What else, beside its inputs, decides its result. */
  readonly changed?: (inputs: NodeInputs, folders: ListedFolders) => string;
  /** Replaces the check against choices; a text is the reason for a refusal. */
  readonly validate?: (inputs: Readonly<Record<string, unknown>>, folders: ListedFolders) => string | undefined;
  readonly execute: (inputs: NodeInputs, context: NodeContext) => Promise<NodeResult>;
}

/** The inputs of a node that runs: constants converted, links followed. */
export class NodeInputs {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  text(name: string): string {
    return String(this.#values.get(name));
  }

  number(name: string): number {
    return Number(this.#values.get(name));
  }

  value<Type extends NodeValue['type']>(name: string, type: Type): Extract<NodeValue, { type: Type }> {
    const value = this.#values.get(name) as NodeValue | undefined;
    if (value?.type !== type) throw new NodeError('TypeError', `input ${name} has no ${type} (simulated)`);
    return value as Extract<NodeValue, { type: Type }>;
  }
}

/** A node failed: `exception_type` and `exception_message` of the `execution_error` (contract comfyui 4). */
export class NodeError extends Error {
  readonly exceptionType: string;

  constructor(exceptionType: string, message: string) {
    super(message);
    this.exceptionType = exceptionType;
  }
}

/** The running prompt was interrupted. */
export class InterruptedError extends Error {}
