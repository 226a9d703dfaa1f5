import { join } from 'node:path';

import { readJournal } from '../../character/journal.js';
import type { CharacterRun } from '../../character/character-run.js';
import { readPlan, type CharacterPlan } from '../../character/plan.js';
import { openReceiver, type ImageReceiver } from '../../character/receive-image.js';
import { remainingImages, type RemainingImage } from '../../character/remaining-images.js';
import type { ComfyuiClient } from '../../comfyui/client.js';
import { fillGraph, loadGraph, type GraphTemplate } from '../../comfyui/graph-template.js';
import type { Absence } from '../../comfyui/render/patience.js';
import { renderImages } from '../../comfyui/render/render-images.js';
import type { ImageVerdict, Recovery, RenderedImage, RenderImage } from '../../comfyui/render/types.js';
import { TowerError } from '../../errors.js';
import { exists } from '../../files/exists.js';
import type { ServiceOptions } from '../../service-options.js';
import { waitsForOf, type WaitsFor } from '../../temporal/waiting-reasons.js';
import { endedTurn } from './ended-turn.js';
import type { RenderTurn } from './interfaces.js';
import { imageValues } from './image-values.js';
import { recordComfyui, readComfyuiRecord } from '../../character/comfyui-record.js';

/** What a rendering heartbeats; counts are of the whole run. */
export interface RenderingProgress {
  readonly stage: 'rendering';
  readonly accepted: number;
  readonly planned: number;
  readonly rejected: number;
  readonly image: string | null;
  readonly secondsPerImage: number | null;
  readonly etaSeconds: number | null;
  /** A ComfyUI that is away. */
  readonly waitsFor: WaitsFor | null;
}

export interface DatasetRendering {
  readonly run: CharacterRun;
  readonly client: ComfyuiClient;
  /** How long ComfyUI may be away at a stretch, in milliseconds. */
  readonly awayMs: number;
  /** What was waited of it before. */
  readonly absence?: Absence;
  readonly shouldStop: () => { readonly reason: string } | undefined;
}

const minute = 60_000;
/** So many images in a row that ComfyUI cannot make are no bad luck any more. */
const failuresInRow = 3;

/**
 * Renders what the run's journal lacks until nothing is left or `shouldStop` gives a reason. Each image is checked and in the
 * journal before the next one counts, so that a kill at any moment costs the images in flight.
 *
 * @throws TowerError `IMAGES_ALL_REJECTED`, `TOO_FEW_IMAGES` as soon as that is certain; what `renderImages` throws, but for a
 * single image that ComfyUI cannot make: that is rendered again with another seed.
 */
export async function renderDataset(
  { run, ...turnOptions }: DatasetRendering,
  options: ServiceOptions<RenderingProgress>,
): Promise<RenderTurn> {
  const plan = await planOf(run);
  // It is made before the first prompt is sent.
  let isResumed = await exists(run.paths.journal);
  const receiver = await openReceiver(run);
  const turn = new DatasetTurn({ run, plan, receiver, template: await loadGraph(run.job.graph) }, options);
  try {
    for (;;) {
      turn.report(null);
      const left = await turn.remaining();
      if (left === undefined) break;
      throwIfHopeless(receiver);
      const stopped = await turn.render(left, { ...turnOptions, isResumed });
      isResumed = true;
      // With the last image nothing is left that it would have to come back for.
      if (stopped !== null && (await turn.remaining()) !== undefined)
        return await turn.result(stopped, turnOptions.client);
    }
    return await turn.result(null, turnOptions.client);
  } finally {
    await receiver.close();
  }
}

interface TurnParts {
  readonly run: CharacterRun;
  readonly plan: CharacterPlan;
  readonly receiver: ImageReceiver;
  readonly template: GraphTemplate;
}

class DatasetTurn {
  readonly #parts: TurnParts;
  readonly #options: ServiceOptions<RenderingProgress>;
  /** Images in flight by key. */
  readonly #inFlight = new Map<string, RemainingImage>();
  readonly #startedAt = performance.now();
  readonly #acceptedBefore: number;
  #failures = 0;

  constructor(parts: TurnParts, options: ServiceOptions<RenderingProgress>) {
    this.#parts = parts;
    this.#options = options;
    this.#acceptedBefore = parts.receiver.accepted;
  }

  /** `undefined`: nothing is left. */
  async remaining(): Promise<Iterable<RemainingImage> | undefined> {
    const { run, plan } = this.#parts;
    const state = await readJournal(run.paths.journal);
    const all = () => remainingImages(plan, state, { imageRetries: run.job.limits.imageRetries });
    return all().next().done === true ? undefined : all();
  }

  /** @returns why it stopped early; `null` when it came to the end of `left`, or one of them failed and has to be looked at anew. */
  async render(
    left: Iterable<RemainingImage>,
    { client, awayMs, absence, shouldStop, isResumed }: Omit<DatasetRendering, 'run'> & { readonly isResumed: boolean },
  ): Promise<string | null> {
    const { run } = this.#parts;
    const { limits } = run.job;
    this.#inFlight.clear();
    try {
      const summary = await renderImages(
        {
          ...{ client, runKey: run.reservation.renderKey, shouldStop, isResumed },
          images: this.#images(left),
          onImage: (rendered) => this.#receive(rendered),
          onRecovery: (recovery) => this.#recovered(recovery),
          limits: { startMs: limits.imageStartMinutes * minute, runMs: limits.imageRenderMinutes * minute, awayMs },
          ...(absence !== undefined && { absence }),
        },
        { ...this.#options, onProgress: ({ key, waitsFor }) => this.report(key ?? null, waitsFor) },
      );
      if (summary.server !== undefined) await recordComfyui(run.paths.directory, summary.server);
      return summary.stopped?.reason ?? null;
    } catch (error) {
      await this.#giveUpOn(error);
      return null;
    }
  }

  async result(stopped: string | null, client: ComfyuiClient): Promise<RenderTurn> {
    const { run } = this.#parts;
    const { directory } = run.paths;
    // Of a whole dataset it is known, also when the turn that has made it did not come to its end.
    if (stopped === null && (await readComfyuiRecord(directory)) === undefined) {
      await recordComfyui(directory, await client.serverFacts(this.#options));
    }
    return endedTurn(run, stopped);
  }

  report(image: string | null, waitsFor?: TowerError): void {
    const { accepted, planned, rejected } = this.#counts();
    const done = accepted - this.#acceptedBefore;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const secondsPerImage = done === 0 ? null : seconds / done;
    const etaSeconds = secondsPerImage === null ? null : Math.round(secondsPerImage * (planned - accepted));
    this.#options.onProgress?.({
      ...{ stage: 'rendering', accepted, planned, rejected, image, etaSeconds },
      secondsPerImage: secondsPerImage === null ? null : Number(secondsPerImage.toFixed(2)),
      waitsFor: waitsFor === undefined ? null : waitsForOf(waitsFor),
    });
  }

  #counts() {
    const { run, receiver } = this.#parts;
    return { planned: run.job.count, accepted: receiver.accepted, rejected: receiver.rejected };
  }

  *#images(left: Iterable<RemainingImage>): Generator<RenderImage> {
    for (const remaining of left) yield this.#imageOf(remaining);
  }

  #imageOf(remaining: RemainingImage): RenderImage {
    const { run, plan, receiver, template } = this.#parts;
    const key = `${remaining.image.index}-${remaining.attempt}`;
    this.#inFlight.set(key, remaining);
    const values = imageValues(run.job, {
      prompt: remaining.image.prompt,
      negative: plan.negativePrompt,
      seed: remaining.seed,
      prefix: join('tower', run.reservation.run, key),
    });
    return { key, graph: fillGraph(template, values), target: receiver.targetOf(remaining) };
  }

  async #receive({ image, path, promptId }: RenderedImage): Promise<ImageVerdict> {
    const remaining = this.#inFlight.get(image.key);
    if (remaining === undefined) throw new Error(`image ${image.key} was not asked for`);
    const receipt = await this.#parts.receiver.receive({ remaining, path, promptId });
    this.#inFlight.delete(image.key);
    if (receipt.result === 'accepted') this.#failures = 0;
    else this.#options.log.warn({ image: image.key, reason: receipt.reason }, 'image rejected');
    this.report(null);
    throwIfHopeless(this.#parts.receiver);
    // One that is given up is done with, too.
    return receipt.result === 'again' ? { again: this.#imageOf(receipt.next) } : 'accepted';
  }

  #recovered({ kind, key, detail }: Recovery): void {
    const { receiver } = this.#parts;
    receiver.recovered({ kind, image: key ?? null, detail }).catch((error: unknown) => {
      // The images themselves tell of a full disk.
      this.#options.log.warn({ recovery: kind, err: error }, 'what was put right cannot be recorded');
    });
  }

  /** @throws the error, unless it is about one image while others succeed. */
  async #giveUpOn(error: unknown): Promise<void> {
    if (!(error instanceof TowerError) || error.code !== 'RENDER_FAILED') throw error;
    const { key, promptId } = error.details;
    const remaining = typeof key === 'string' ? this.#inFlight.get(key) : undefined;
    this.#failures += 1;
    const { receiver } = this.#parts;
    if (remaining === undefined || receiver.accepted === 0 || this.#failures >= failuresInRow) throw error;
    const id = typeof promptId === 'string' ? promptId : null;
    await receiver.failed(remaining, { reason: error.message, promptId: id });
  }
}

function throwIfHopeless({ hopeless }: ImageReceiver): void {
  if (hopeless !== undefined) throw hopeless;
}

async function planOf(run: CharacterRun): Promise<CharacterPlan> {
  const plan = await readPlan(run.paths.plan);
  if (plan !== undefined) return plan;
  throw new TowerError('PLAN_MISSING', `${run.paths.plan} is not there`, {
    next: 'Start the job again: a new run plans anew.',
  });
}
