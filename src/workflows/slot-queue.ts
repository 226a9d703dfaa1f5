import type { CharacterPriority, SlotRequest } from '../activities/character/interfaces.js';

const levels: readonly CharacterPriority[] = ['urgent', 'high', 'normal', 'low'];

/** Who is at work, and who waits in which order. */
export interface SlotState {
  readonly holders: readonly SlotRequest[];
  readonly waiting: readonly SlotRequest[];
}

/** A counting semaphore as a plain value: places are given by level, and in one level in the order in which they were asked for. */
export class SlotQueue {
  #holders: SlotRequest[];
  #waiting: SlotRequest[];
  #granted: SlotRequest[] = [];

  constructor({ holders, waiting }: SlotState) {
    this.#holders = [...holders];
    this.#waiting = [...waiting];
  }

  get state(): SlotState {
    return { holders: this.#holders, waiting: this.#waiting };
  }

  get isEmpty(): boolean {
    return this.#holders.length === 0 && this.#waiting.length === 0;
  }

  get hasNews(): boolean {
    return this.#granted.length > 0;
  }

  /** Repeatable: who holds a place is told so again, who waits keeps its position in its level. Nobody is put out of a place. */
  request(request: SlotRequest): void {
    const { workflowId } = request;
    if (this.#holders.some((holder) => holder.workflowId === workflowId)) {
      this.#holders = this.#holders.map((holder) => (holder.workflowId === workflowId ? request : holder));
      this.#granted.push(request);
      return;
    }
    const known = this.#waiting.some((waiting) => waiting.workflowId === workflowId);
    this.#waiting = known
      ? this.#waiting.map((waiting) => (waiting.workflowId === workflowId ? request : waiting))
      : [...this.#waiting, request];
    // Stable: those of one level stay in their order.
    this.#waiting.sort((one, other) => rankOf(one) - rankOf(other));
    this.#fill();
  }

  /** Takes a holder or a waiting one away. */
  release(workflowId: string): void {
    this.#holders = this.#holders.filter((holder) => holder.workflowId !== workflowId);
    this.#waiting = this.#waiting.filter((waiting) => waiting.workflowId !== workflowId);
    this.#granted = this.#granted.filter((granted) => granted.workflowId !== workflowId);
    this.#fill();
  }

  /** Those who have to be told that they hold a place, each once. */
  takeGrants(): SlotRequest[] {
    const granted = this.#granted;
    this.#granted = [];
    return granted;
  }

  #fill(): void {
    for (;;) {
      const [next] = this.#waiting;
      // The limit is the configuration of whoever asks now, so that a changed one needs no restart.
      if (next === undefined || this.#holders.length >= next.max) return;
      this.#waiting = this.#waiting.slice(1);
      this.#holders = [...this.#holders, next];
      this.#granted.push(next);
    }
  }
}

function rankOf({ level = 'normal' }: SlotRequest): number {
  return levels.indexOf(level);
}
