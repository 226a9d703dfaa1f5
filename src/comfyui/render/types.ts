import type { TowerError } from '../../errors.js';
import type { ComfyuiClient, ServerFacts } from '../client.js';
import type { Graph } from '../graph.js';
import type { Absence } from './patience.js';

/** One image to be rendered. */
export interface RenderImage {
  /** Unique in the run; goes into the prompt id and into the image's metadata. */
  readonly key: string;
  /** Complete; its save node should have a `filename_prefix` that no other image has. */
  readonly graph: Graph;
  /** Where the image is to lie; an existing file is replaced. */
  readonly target: string;
}

/** A rendered image: complete at its target, and proven to come from its prompt. */
export interface RenderedImage {
  readonly image: RenderImage;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Pixels; `undefined` when the file is no PNG. */
  readonly size: { readonly width: number; readonly height: number } | undefined;
  readonly promptId: string;
  /** 1 for the first rendering of this key. */
  readonly attempt: number;
  /** How ComfyUI names the file. */
  readonly source: { readonly filename: string; readonly subfolder: string; readonly type: string };
  /** All of it came out of ComfyUI's cache. */
  readonly cached: boolean;
  /** From the start of the execution to its end; `undefined` when nobody saw both. */
  readonly renderMs: number | undefined;
}

/** What a check says of an image: it is kept, or another one is rendered in its place (its key must be new). */
export type ImageVerdict = 'accepted' | { readonly again: RenderImage };

/** Durations in milliseconds. */
export interface RenderLimits {
  /** From a submit, or from the end of the own prompt before it, to the start. Default 30 min. */
  readonly startMs: number;
  /** From the start to the end of one prompt. Default 30 min. */
  readonly runMs: number;
  /** How long ComfyUI has to obey an interrupt; some nodes run to their end first. Default 30 s. */
  readonly obeyMs: number;
  /** How long ComfyUI may be away at a stretch. Default 10 min. */
  readonly awayMs: number;
  /** Without a message about own prompts, ComfyUI is asked. Default 5 s; longer each time it says that all is well. */
  readonly silenceMs: number;
  /** Between two looks at a prompt of which no message comes. Default 500 ms. */
  readonly pollMs: number;
  /** Renderings of one image that ended badly before it is given up. Default 3. */
  readonly attempts: number;
  /** Losses of one image (restart of ComfyUI, removed from the queue) before it is given up. Default 5. */
  readonly losses: number;
}

/** Something that went wrong and was put right. */
export type RecoveryKind =
  /** ComfyUI was away, and is back. */
  | 'away'
  /** A request failed, or its answer was cut or nonsense; it was made again. */
  | 'repeated'
  /** The answer to a submit was lost; what became of it was looked up. */
  | 'answer-lost'
  /** ComfyUI came back without the prompt: it was restarted. Submitted again. */
  | 'lost'
  /** Somebody took the prompt out of the queue. Submitted again. */
  | 'deleted'
  /** Somebody interrupted the prompt. Rendered again. */
  | 'interrupted'
  /** The prompt failed. Rendered again. */
  | 'failed'
  /** Out of GPU memory. ComfyUI was told to free it; rendered again. */
  | 'out-of-memory'
  /** Longer than the limit; interrupted and rendered again. */
  | 'timed-out'
  /** The WebSocket said nothing of a prompt that had ended; a new one was opened. */
  | 'silent-socket'
  /** The image is not where ComfyUI says. Rendered again. */
  | 'output-missing'
  /** The image is truncated or damaged in ComfyUI's folder. Rendered again. */
  | 'output-damaged'
  /** The file is that of another prompt. Rendered again. */
  | 'output-foreign'
  /** A prompt of an earlier attempt was found, running or finished, and taken over. */
  | 'adopted'
  /** ComfyUI had forgotten the prompt, but its image lay in the output folder. */
  | 'found-output'
  /** A prompt of an earlier attempt waited in the queue and was taken out. */
  | 'cleared';

export interface Recovery {
  readonly kind: RecoveryKind;
  /** Of the image concerned. */
  readonly key: string | undefined;
  readonly promptId: string | undefined;
  readonly detail: string;
}

export interface RenderProgress {
  /** Images handed over and accepted. */
  readonly delivered: number;
  /** The image that is being rendered. */
  readonly key: string | undefined;
  /** Sampling steps of the node that runs. */
  readonly step: number | undefined;
  readonly steps: number | undefined;
  /** ComfyUI is away, and this is what its last answer was missed with. */
  readonly waitsFor: TowerError | undefined;
}

export interface RenderRequest {
  readonly client: ComfyuiClient;
  /** Names the run; together with a key it gives the prompt id. */
  readonly runKey: string;
  /** Read one at a time, as there is room. */
  readonly images: Iterable<RenderImage> | AsyncIterable<RenderImage>;
  /** Called once for each image that lies at its target. It may be called again while an earlier call is under way. */
  readonly onImage: (image: RenderedImage) => Promise<ImageVerdict>;
  readonly onRecovery?: (recovery: Recovery) => void;
  /** Asked several times a second; once it gives a reason, no further image is begun. */
  readonly shouldStop?: () => { readonly reason: string } | undefined;
  readonly limits?: Partial<RenderLimits>;
  /** An earlier batch may have begun with the first of these images: they are looked for in the output folder before they are submitted. */
  readonly isResumed?: boolean;
  /** What was waited of `limits.awayMs` before; kept up to date. */
  readonly absence?: Absence;
}

export interface RenderSummary {
  readonly delivered: number;
  /** Images that a check wanted rendered anew. */
  readonly rejected: number;
  /** Why it ended before all images were delivered. */
  readonly stopped: { readonly reason: string } | null;
  readonly recoveries: Readonly<Partial<Record<RecoveryKind, number>>>;
  /** `undefined`: stopped before ComfyUI had said anything. */
  readonly server: ServerFacts | undefined;
}
