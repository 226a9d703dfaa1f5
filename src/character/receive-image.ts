import { mkdir, rename } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

import type { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { namingFullDisk } from '../files/disk-full.js';
import { syncDirectory } from '../files/durable-write.js';
import { Turns } from '../turns.js';
import { checkImage } from './check-image.js';
import type { CharacterRun } from './character-run.js';
import { HashIndex } from './hash-index.js';
import { LostImages } from './lost-images.js';
import { openJournal, readJournal, type Journal, type JournalEntry, type JournalState } from './journal.js';
import { attemptSeed, type CharacterPlan } from './plan.js';
import type { RemainingImage } from './remaining-images.js';
import { imageFileName } from './run-paths.js';
import { removeTemporaryFiles } from './temporary-files.js';

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

/** Takes images into the dataset, or rejects them; each is in the journal when the call returns. */
export interface ImageReceiver {
  /** Where the renderer puts an image. */
  targetOf(remaining: RemainingImage): string;
  receive(image: ReceivedImage): Promise<Receipt>;
  /** ComfyUI could not make it, and would not with the same seed. */
  failed(
    remaining: RemainingImage,
    failure: { readonly reason: string; readonly promptId: string | null },
  ): Promise<Receipt>;
  /** Keeps a record of what was put right. @throws TowerError `DISK_FULL` */
  recovered(recovery: Pick<JournalEntry<'recovered'>, 'kind' | 'image' | 'detail'>): Promise<void>;
  readonly accepted: number;
  readonly rejected: number;
  /** Why what remains is not worth rendering: see {@link LostImages}. */
  readonly hopeless: TowerError | undefined;
  close(): Promise<void>;
}

/** @throws TowerError `DISK_FULL` */
export async function openReceiver(run: CharacterRun): Promise<ImageReceiver> {
  const { images, rejected } = run.dataset;
  await namingFullDisk(images, async () => {
    for (const folder of [images, rejected]) await mkdir(folder, { recursive: true });
  });
  // Who receives images holds the GPU's lock, so nobody writes here.
  await removeTemporaryFiles(images, { olderThanMs: 0 });
  const state = await readJournal(run.paths.journal);
  const receiver = new Receiver(run, await openJournal(run.paths.journal));
  receiver.load(state);
  return receiver;
}

/** Characters; the log has the whole. */
const longestDetail = 500;

type Rejection = Pick<JournalEntry<'rejected'>, 'code' | 'reason' | 'file' | 'promptId'>;

class Receiver implements ImageReceiver {
  readonly #run: CharacterRun;
  readonly #journal: Journal;
  readonly #known = new HashIndex();
  readonly #faults = new Map<number, number>();
  readonly #accepted = new Set<number>();
  readonly #lost: LostImages;
  /** Of two equal images that come together the second has to see the first. */
  readonly #turns = new Turns();
  rejected = 0;

  constructor(run: CharacterRun, journal: Journal) {
    this.#run = run;
    this.#journal = journal;
    this.#lost = new LostImages(run.job, run.dataset.rejected);
  }

  load({ accepted, rejected, faults, dropped }: JournalState): void {
    for (const { index, perceptualHash } of accepted.values()) this.#keep(index, perceptualHash);
    for (const [index, count] of faults) this.#faults.set(index, count);
    this.rejected = rejected.length;
    const { imageRetries } = this.#run.job.limits;
    for (const entry of rejected) {
      const { index } = entry;
      this.#lost.rejected(index, entry);
      const isLost = dropped.has(index) || (faults.get(index) ?? 0) > imageRetries;
      if (isLost && !accepted.has(index)) this.#lost.lose(index);
    }
  }

  get hopeless(): TowerError | undefined {
    return this.#lost.hopeless(this.accepted);
  }

  get accepted(): number {
    return this.#accepted.size;
  }

  targetOf({ image }: RemainingImage): string {
    return join(this.#run.dataset.images, imageFileName(this.#run.slug, image.index, this.#run.job.count));
  }

  receive(image: ReceivedImage): Promise<Receipt> {
    return this.#turns.take(() => this.#take(image));
  }

  failed(
    remaining: RemainingImage,
    { reason, promptId }: { readonly reason: string; readonly promptId: string | null },
  ): Promise<Receipt> {
    return this.#turns.take(() => this.#reject(remaining, { code: 'failed', reason, file: null, promptId }));
  }

  recovered({ kind, image, detail }: Pick<JournalEntry<'recovered'>, 'kind' | 'image' | 'detail'>): Promise<void> {
    const at = new Date().toISOString();
    return this.#journal.append([{ event: 'recovered', at, kind, image, detail: detail.slice(0, longestDetail) }]);
  }

  async close(): Promise<void> {
    await this.#journal.close();
  }

  async #take({ remaining, path, promptId }: ReceivedImage): Promise<Receipt> {
    const { width, height, check: thresholds } = this.#run.job;
    const { image, attempt, seed } = remaining;
    const checked = await checkImage(path, { width, height, thresholds, known: this.#others(image.index) });
    if (!checked.ok) {
      const file = await this.#setAside(path, attempt);
      return this.#reject(remaining, { code: checked.code, reason: checked.reason, file, promptId });
    }
    await syncDirectory(this.#run.dataset.images);
    const file = relative(this.#run.dataset.folder, path);
    const at = new Date().toISOString();
    const { index } = image;
    await this.#journal.append([{ event: 'accepted', at, index, attempt, seed, promptId, file, ...checked.facts }]);
    this.#keep(index, checked.facts.perceptualHash);
    return { result: 'accepted' };
  }

  /** An image is no duplicate of itself: after a lost answer it may come twice. */
  #others(index: number): HashIndex {
    return this.#accepted.has(index) ? new HashIndex() : this.#known;
  }

  #keep(index: number, hash: string): void {
    this.#accepted.add(index);
    this.#known.add(index, hash);
  }

  async #reject(remaining: RemainingImage, rejection: Rejection): Promise<Receipt> {
    const { image, attempt, seed } = remaining;
    const { index } = image;
    const faults = (this.#faults.get(index) ?? 0) + 1;
    const again = faults <= this.#run.job.limits.imageRetries;
    const at = new Date().toISOString();
    await this.#journal.append([{ event: 'rejected', at, index, attempt, seed, again, ...rejection }]);
    this.#faults.set(index, faults);
    this.rejected += 1;
    this.#lost.rejected(index, rejection);
    if (!again) this.#lost.lose(index);
    const { reason } = rejection;
    if (!again) return { result: 'given-up', reason };
    const plan: Pick<CharacterPlan, 'seed'> = this.#run.job;
    const next = { image, attempt: attempt + 1, seed: attemptSeed(plan, image, attempt + 1) };
    return { result: 'again', next, reason };
  }

  /** @returns the new path inside the dataset's folder. */
  async #setAside(path: string, attempt: number): Promise<string> {
    const target = join(this.#run.dataset.rejected, rejectedName(path, attempt));
    await namingFullDisk(target, () => rename(path, target).catch(undefinedIfAbsent));
    return relative(this.#run.dataset.folder, target);
  }
}

/** `elara_007.png` rejected in its first attempt: `elara_007-1.png`. */
export function rejectedName(path: string, attempt: number): string {
  return basename(path).replace(/(\.[^.]+)$/, `-${attempt + 1}$1`);
}
