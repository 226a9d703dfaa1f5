import { readFile, readdir } from 'node:fs/promises';

import { undefinedIfAbsent } from '../../files/absent.js';
import { baseNameOf, byName, isMetadataFile, isPromptFile } from './job-name.js';
import type { QueuePaths } from './queue-paths.js';

/** How many jobs of `incoming` may be listed for each claim, on average. */
const listedPerClaim = 100;

/**
 * The order of `incoming`, oldest name first. A directory has no order of its own, so finding the oldest means listing all of
 * it; with up to 100 jobs that is done for every claim, with more only once in as many claims as there are hundreds, so that
 * a claim never costs more than with 100. In between, jobs that come in are newer and wait their turn at the end. Older ones
 * come by a person's retry or a lost lease, and those leave a mark that makes every process list again.
 */
export class IncomingIndex {
  readonly #paths: QueuePaths;
  /** Descending: the oldest is taken off the end. */
  #waiting: string[] = [];
  #listed = 0;
  #takenSince = 0;
  #mark: string | undefined;
  /** Whether it was listed for the present claim. */
  #isFresh = false;

  constructor(paths: QueuePaths) {
    this.#paths = paths;
  }

  /** Has to be called once before the jobs of a claim are taken. */
  async beginClaim(): Promise<void> {
    const mark = await readFile(this.#paths.returnMark, 'utf8').catch(undefinedIfAbsent);
    this.#isFresh = false;
    if (mark !== this.#mark || this.#takenSince * listedPerClaim >= this.#listed) await this.#list();
    this.#mark = mark;
  }

  /** The oldest job with prompt and metadata that has not been taken since; it may be gone by now. */
  async take(): Promise<string | undefined> {
    // What was listed before may all have gone since, while others came.
    if (this.#waiting.length === 0 && !this.#isFresh) await this.#list();
    const oldest = this.#waiting.pop();
    if (oldest !== undefined) this.#takenSince += 1;
    return oldest;
  }

  async #list(): Promise<void> {
    const names = await readdir(this.#paths.directory('incoming'));
    const described = new Set(names.filter(isMetadataFile).map(baseNameOf));
    // A prompt whose metadata is not there yet is half written, or broken; either way it is not to be taken now.
    this.#waiting = names
      .filter(isPromptFile)
      .map(baseNameOf)
      .filter((baseName) => described.has(baseName))
      .sort((a, b) => byName(b, a));
    this.#listed = this.#waiting.length;
    this.#takenSince = 0;
    this.#isFresh = true;
  }
}
