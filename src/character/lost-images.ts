import { TowerError } from '../errors.js';
import type { CharacterJob } from './job.js';
import type { JournalEntry } from './journal.js';

type Rejection = Pick<JournalEntry<'rejected'>, 'code' | 'reason'>;

/** So many rejections for one reason, of so many images and without one that was accepted, are no bad luck any more. */
const hopelessRow = { rejections: 10, images: 3 };

/** Keeps count of images that a run will not have, to end it before hours are spent on a dataset that comes to nothing. */
export class LostImages {
  readonly #job: Pick<CharacterJob, 'count' | 'minImages'>;
  /** Where the rejected images lie. */
  readonly #folder: string;
  readonly #lost = new Set<number>();
  /** Of the row: since the beginning, or since a person last rejected an image. */
  readonly #codes = new Set<string>();
  readonly #images = new Set<number>();
  #rejections = 0;
  #reason = '';

  constructor(job: Pick<CharacterJob, 'count' | 'minImages'>, folder: string) {
    this.#job = job;
    this.#folder = folder;
  }

  /** In the order in which it happened. */
  rejected(index: number, { code, reason }: Rejection): void {
    if (code === 'person') {
      // It was accepted, so whatever was rejected before was no hopeless row.
      this.#codes.clear();
      this.#images.clear();
      this.#rejections = 0;
      return;
    }
    this.#codes.add(code);
    this.#images.add(index);
    this.#rejections += 1;
    this.#reason = reason;
  }

  /** All its attempts are used up, or a person does not want it again. */
  lose(index: number): void {
    this.#lost.add(index);
  }

  /**
   * Why the rest is not worth rendering; `undefined` while it is.
   *
   * @returns TowerError `IMAGES_ALL_REJECTED` (none accepted, all rejected for one reason), `TOO_FEW_IMAGES`; both final
   */
  hopeless(accepted: number): TowerError | undefined {
    const { count, minImages } = this.#job;
    const lost = this.#lost.size;
    const look = `Look at the pictures in ${this.#folder}`;
    const words = this.#reason === '' ? '' : `; the last one: ${this.#reason}`;
    const [code, ...others] = this.#codes;
    const isRow = this.#rejections >= hopelessRow.rejections && this.#images.size >= hopelessRow.images;
    if (accepted === 0 && isRow && code !== undefined && others.length === 0) {
      const found = `all ${this.#rejections} pictures of ${this.#images.size} images were rejected as ${code}${words}`;
      return new TowerError('IMAGES_ALL_REJECTED', found, {
        next: `${look}: checkpoint, graph, sampler and size decide what ComfyUI makes, and check what is rejected. Correct the job, then start it again.`,
        details: { rejected: this.#rejections, images: this.#images.size, count },
      });
    }
    if (count - lost >= minImages) return undefined;
    const most = `${lost} of ${count} images are given up, so at most ${count - lost} can be accepted`;
    return new TowerError('TOO_FEW_IMAGES', `${most}, at least ${minImages} are needed${words}`, {
      next: `${look} for what was rejected and why; lower minImages or loosen check, and start the job again.`,
      details: { lost, accepted, minImages, count },
    });
  }
}
