import type { ServiceOptions } from '../service-options.js';

export interface PublishRequest {
  /** The run's id; a repeated call finds what it had published. */
  readonly run: string;
  /** The chosen LoRA. */
  readonly source: string;
  readonly sha256: string;
  /** ComfyUI's `models/loras`. */
  readonly loras: string;
  readonly output: string;
  readonly alias: boolean;
  readonly simulated: boolean;
  /** Whether LoRAs of the simulated trainer may be published. */
  readonly deliverSimulated: boolean;
  /** `delivery.json` of the run. */
  readonly record: string;
}

export interface Delivery {
  /** As ComfyUI lists it: `<output>-v<N>.safetensors`. */
  readonly loraName: string;
  readonly path: string;
  readonly version: number;
  readonly sha256: string;
  readonly bytes: number;
  readonly sidecar: string;
  readonly simulated: boolean;
  /** Name of the alias, if one was published. */
  readonly alias: string | null;
  /** Why there is no alias, although one was asked for. */
  readonly aliasRefused: string | null;
  readonly publishedAt: string;
}

/**
 * Puts a LoRA into ComfyUI's folder under the next free version, complete from its first moment, mode 0644. Nothing is ever
 * overwritten, because ComfyUI keeps old weights by name (contract comfyui.md, 7.4).
 *
 * @throws TowerError `SIMULATED_NOT_DELIVERED`, `LORAS_FOLDER_MISSING`, `NO_PERMISSION`, `DISK_FULL` (retryable), `LORA_CHANGED`.
 */
export declare function publishLora(
  request: PublishRequest,
  options: ServiceOptions<{ readonly bytes: number; readonly total: number }>,
): Promise<Delivery>;

/** @returns `undefined` while nothing is published. */
export declare function readDelivery(path: string): Promise<Delivery | undefined>;
