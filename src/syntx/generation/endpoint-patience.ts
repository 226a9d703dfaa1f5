import { patienceMs } from './time-limits.js';

/** For how long an endpoint has given no completion, and whether that is too long. */
export class EndpointPatience {
  #since: number;

  /** @param since when the run began to ask, in milliseconds since 1970. */
  constructor(since: number) {
    this.#since = since;
  }

  /** A completion has come, whatever it says. */
  renew(): void {
    this.#since = Date.now();
  }

  get isOver(): boolean {
    return this.isOverIn(0);
  }

  /** Whether a call after so many milliseconds would come too late. */
  isOverIn(milliseconds: number): boolean {
    return this.#waitedMs + milliseconds >= patienceMs;
  }

  /** `no completion from the endpoint for 90 minutes` */
  get text(): string {
    return `no completion from the endpoint for ${Math.round(this.#waitedMs / 60_000)} minutes`;
  }

  get #waitedMs(): number {
    return Date.now() - this.#since;
  }
}
