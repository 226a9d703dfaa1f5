import type { CharacterRun } from './character-run.js';
import type { RemainingImage } from './remaining-images.js';

/** A file that the renderer has put into place, whole. */
export interface ReceivedImage {
  readonly remaining: RemainingImage;
  readonly path: string;
  readonly promptId: string | null;
}

export type Receipt =
  | { readonly result: 'accepted' }
  /** Render this next, with another seed. */
  | { readonly result: 'again'; readonly next: RemainingImage; readonly reason: string }
  /** All its attempts are used up. */
  | { readonly result: 'given-up'; readonly reason: string };

/** Takes images into the data set, or rejects them; each is in the journal when the call returns. */
export interface ImageReceiver {
  /** Where the renderer puts an image. */
  targetOf(remaining: RemainingImage): string;
  receive(image: ReceivedImage): Promise<Receipt>;
  /** ComfyUI could not make it, and would not with the same seed. */
  failed(remaining: RemainingImage, failure: { reason: string; promptId: string | null }): Promise<Receipt>;
  readonly accepted: number;
  readonly rejected: number;
  close(): Promise<void>;
}

/** @throws TowerError `DISK_FULL` */
export declare function openReceiver(run: CharacterRun): Promise<ImageReceiver>;
