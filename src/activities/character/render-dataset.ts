import { join } from 'node:path';

import { readJournal } from '../../character/journal.js';
import type { CharacterRun } from '../../character/character-run.js';
import { readPlan, type CharacterPlan } from '../../character/plan.js';
import { openReceiver, type ImageReceiver } from '../../character/receive-image.js';
import { remainingImages, type RemainingImage } from '../../character/remaining-images.js';
import type { ComfyuiClient } from '../../comfyui/client.js';
import { fillGraph, loadGraph, type GraphTemplate } from '../../comfyui/graph-template.js';
import { renderImages } from '../../comfyui/render/render-images.js';
import type { ImageVerdict, RenderedImage, RenderImage } from '../../comfyui/render/types.js';
import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import type { RenderTurn } from './interfaces.js';
import { imageValues } from './image-values.js';
import { recordServer, readServerRecord } from './server-record.js';

/** What a rendering heartbeats; counts are of the whole run. */
export interface RenderingProgress {
  readonly stage: 'making room' | 'rendering';
  readonly accepted: number;
  readonly planned: number;
  readonly rejected: number;
  readonly image: string | null;
  readonly secondsPerImage: number | null;
  readonly etaSeconds: number | null;
}

export interface DatasetRendering {
  readonly run: CharacterRun;
  readonly client: ComfyuiClient;
  readonly awayMs: number;
  readonly shouldStop: () => { readonly reason: string } | undefined;
}

const minute = 60_000;
/** So many images in a row that ComfyUI cannot make are no bad luck any more. */
const failuresInRow = 3;

/**
 * Renders what the run's journal lacks until nothing is left or `shouldStop` gives a reason. Each image is checked and in the
 * journal before the next one counts, so that a kill at any moment costs the images in flight.
 *
 * @throws what `renderImages` throws, but for a single image that ComfyUI cannot make: that is rendered again with another seed.
 */
export async function renderDataset(
  { run, client, awayMs, shouldStop }: DatasetRendering,
  options: ServiceOptions<RenderingProgress>,
): Promise<RenderTurn> {
  const plan = await planOf(run);
  const receiver = await openReceiver(run);
  const turn = new DatasetTurn({ run, plan, receiver, template: await loadGraph(run.job.graph) }, options);
  try {
    for (;;) {
      turn.report(null);
      const left = await turn.remaining();
      if (left === undefined) break;
      const stopped = await turn.render(left, { client, awayMs, shouldStop });
      if (stopped !== null) return await turn.result(stopped, client);
    }
    return await turn.result(null, client);
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
    { client, awayMs, shouldStop }: Omit<DatasetRendering, 'run'>,
  ): Promise<string | null> {
    const { run } = this.#parts;
    const { limits } = run.job;
    this.#inFlight.clear();
    try {
      const summary = await renderImages(
        {
          ...{ client, runKey: run.reservation.run, shouldStop },
          images: this.#images(left),
          onImage: (rendered) => this.#receive(rendered),
          limits: { startMs: limits.imageStartMinutes * minute, runMs: limits.imageRenderMinutes * minute, awayMs },
        },
        { ...this.#options, onProgress: ({ key }) => this.report(key ?? null) },
      );
      await recordServer(run.paths.directory, summary.server);
      return summary.stopped?.reason ?? null;
    } catch (error) {
      await this.#giveUpOn(error);
      return null;
    }
  }

  async result(stopped: string | null, client: ComfyuiClient): Promise<RenderTurn> {
    const { run } = this.#parts;
    const known = await readServerRecord(run.paths.directory);
    const { simulated } = known ?? (await recordServer(run.paths.directory, await client.serverFacts(this.#options)));
    return { ...this.#counts(), stopped, simulated };
  }

  report(image: string | null): void {
    const { accepted, planned, rejected } = this.#counts();
    const done = accepted - this.#acceptedBefore;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const secondsPerImage = done === 0 ? null : seconds / done;
    const etaSeconds = secondsPerImage === null ? null : Math.round(secondsPerImage * (planned - accepted));
    this.#options.onProgress?.({
      ...{ stage: 'rendering', accepted, planned, rejected, image, etaSeconds },
      secondsPerImage: secondsPerImage === null ? null : Number(secondsPerImage.toFixed(2)),
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
    // One that is given up is done with, too.
    return receipt.result === 'again' ? { again: this.#imageOf(receipt.next) } : 'accepted';
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

async function planOf(run: CharacterRun): Promise<CharacterPlan> {
  const plan = await readPlan(run.paths.plan);
  if (plan !== undefined) return plan;
  throw new TowerError('PLAN_MISSING', `${run.paths.plan} is not there`, {
    next: 'Start the job again: a new run plans anew.',
  });
}
