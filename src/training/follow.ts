import type { LaunchDirectory } from './run-directory.js';
import { LogReader } from './log-reader.js';
import type { TrainerDriver } from './trainer-driver.js';
import type { TrainerEvent } from './trainer-events.js';

const tailLength = 8 * 1024;

/** Follows both logs of a launch from their start; memory does not grow with the length of the logs. */
export class LaunchFollower {
  readonly #driver: Pick<TrainerDriver, 'parseLine'>;
  readonly #readers: readonly (readonly ['stdout' | 'stderr', LogReader])[];
  #tail = '';

  constructor(files: LaunchDirectory, driver: Pick<TrainerDriver, 'parseLine'>) {
    this.#driver = driver;
    this.#readers = [
      ['stderr', new LogReader(files.stderr)],
      ['stdout', new LogReader(files.stdout)],
    ];
  }

  /** Bytes of output so far: a sign of life even when no line means anything. */
  get bytes(): number {
    return this.#readers.reduce((sum, [, reader]) => sum + reader.bytes, 0);
  }

  /** The end of stdout and stderr, in the order in which it was read. */
  get tail(): string {
    return this.#tail;
  }

  /** The events since the last call. `ended`: nobody writes any more, so an unfinished last line counts too. */
  async *newEvents({ ended = false } = {}): AsyncGenerator<TrainerEvent> {
    for (const [stream, reader] of this.#readers) {
      for await (const line of reader.newLines()) {
        const event = this.#take(line, stream);
        if (event !== undefined) yield event;
      }
      const rest = ended ? reader.takePartialLine() : undefined;
      const event = rest === undefined ? undefined : this.#take(rest, stream);
      if (event !== undefined) yield event;
    }
  }

  async close(): Promise<void> {
    for (const [, reader] of this.#readers) await reader.close();
  }

  #take(line: string, stream: 'stdout' | 'stderr'): TrainerEvent | undefined {
    this.#tail = `${this.#tail}${line}\n`.slice(-tailLength);
    return this.#driver.parseLine(line, stream);
  }
}
