import type { LaunchDirectory } from './run-directory.js';
import { LogReader } from './log-reader.js';
import type { LineParser, TrainerDriver } from './trainer-driver.js';
import type { TrainerEvent } from './trainer-events.js';

/** Characters of each stream's end. */
const tailLength = 4 * 1024;
/** A progress bar and nothing behind it but cursor movements: hundreds of them would push the last words out of the tail. */
// eslint-disable-next-line no-control-regex -- the escape character begins these movements
const progressBar = /\d%\|[^|]*\|[^\]]*\](?:\s|\u001b\[A)*$/;

/** Follows both logs of a launch from their start; memory does not grow with the length of the logs. */
export class LaunchFollower {
  readonly #parse: LineParser;
  readonly #readers: readonly (readonly ['stdout' | 'stderr', LogReader])[];
  readonly #tails = { stdout: '', stderr: '' };

  constructor(files: LaunchDirectory, driver: Pick<TrainerDriver, 'createParser'>) {
    this.#parse = driver.createParser();
    this.#readers = [
      ['stdout', new LogReader(files.stdout)],
      ['stderr', new LogReader(files.stderr)],
    ];
  }

  /** Bytes of output so far: a sign of life even when no line means anything. */
  get bytes(): number {
    return this.#readers.reduce((sum, [, reader]) => sum + reader.bytes, 0);
  }

  /** The end of stdout, then the end of stderr, where a trainer's last words stand: neither pushes the other out. */
  get tail(): string {
    return this.#tails.stdout + this.#tails.stderr;
  }

  /** The events since the last call. `ended`: nobody writes any more, so an unfinished last line counts too. */
  async *newEvents({ ended = false } = {}): AsyncGenerator<TrainerEvent> {
    for (const [stream, reader] of this.#readers) {
      for await (const line of reader.newLines()) {
        yield* this.#take(line, stream);
      }
      const rest = ended ? reader.takePartialLine() : undefined;
      if (rest !== undefined) yield* this.#take(rest, stream);
    }
  }

  async close(): Promise<void> {
    for (const [, reader] of this.#readers) await reader.close();
  }

  #take(line: string, stream: 'stdout' | 'stderr'): readonly TrainerEvent[] {
    // Of a line without end only its last part can stay in the tail.
    if (!progressBar.test(line.slice(-tailLength)))
      this.#tails[stream] = `${this.#tails[stream]}${line}\n`.slice(-tailLength);
    return this.#parse(line, stream);
  }
}
