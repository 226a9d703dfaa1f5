import type { Log } from '../../log/logger.js';
import type { ComfyuiClient, ServerFacts } from '../client.js';
import type { Patience } from './patience.js';
import type { Permits } from './permits.js';
import type { PromptWatch } from './prompt-watch.js';
import type { PromptName } from './render-errors.js';
import type { RecoveryKind, RenderLimits } from './types.js';

/** What the renderings of one batch share. */
export interface RenderContext {
  readonly client: ComfyuiClient;
  readonly server: ServerFacts;
  readonly runKey: string;
  readonly limits: RenderLimits;
  readonly patience: Patience;
  readonly watch: PromptWatch;
  /** Places in ComfyUI's queue. */
  readonly places: Permits;
  /** One submit at a time, so that prompts run in the order of their images. */
  readonly submitting: Permits;
  /** Prompts that an earlier attempt has left running or finished. Each is taken once. */
  readonly known: Set<string>;
  /** Those of them that had ended before this batch: what they ended with says nothing about now. */
  readonly ended: ReadonlySet<string>;
  readonly log: Log;
  /** Ends all work. */
  readonly signal: AbortSignal;
  /** Ends a submit under way; later than {@link signal}, so that its outcome is known where possible. */
  readonly submitSignal: AbortSignal;
  /** No further image is to be begun. */
  readonly isStopped: () => boolean;
  readonly onRecovery: (kind: RecoveryKind, prompt: PromptName, detail: string) => void;
}
