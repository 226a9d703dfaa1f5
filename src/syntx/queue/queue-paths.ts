import { join } from 'node:path';

import { sha256Of } from '../../files/sha256.js';
import { fitsFiles } from './job-name.js';

/** Directories of the queue that hold jobs (contract syntx 1.1). */
export const stages = ['incoming', 'processing', 'processed', 'error', 'archive'] as const;
export type Stage = (typeof stages)[number];

/** Where files of a job may be: a stage, or set aside because they make no job. */
export type Place = Stage | 'broken';

/** A job's files in one place. */
export interface Spot {
  readonly place: Place;
  readonly baseName: string;
}

/**
 * Every path of a queue directory. What is Tower's own lies in `.tower` and `.broken`, where no reader of the original looks.
 */
export class QueuePaths {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  directory(place: Place): string {
    return join(this.root, place === 'broken' ? '.broken' : place);
  }

  prompt({ place, baseName }: Spot): string {
    return join(this.directory(place), `${baseName}.txt`);
  }

  metadata({ place, baseName }: Spot): string {
    return join(this.directory(place), `${baseName}.json`);
  }

  response({ place, baseName }: Spot): string {
    return join(this.directory(place), `${baseName}_response.txt`);
  }

  /** Staging of new files; on the file system of the stages, so that a rename ends it. */
  get staging(): string {
    return join(this.root, '.tmp');
  }

  get own(): string {
    return join(this.root, '.tower');
  }

  get lockFile(): string {
    return join(this.own, 'lock');
  }

  /** Changes when something older than the newest job came back to `incoming`. */
  get returnMark(): string {
    return join(this.own, 'returned');
  }

  get leases(): string {
    return join(this.own, 'leases');
  }

  get moves(): string {
    return join(this.own, 'moves');
  }

  /** Prompts on their way from `incoming` to `processing`. */
  get claims(): string {
    return join(this.own, 'claims');
  }

  get answers(): string {
    return join(this.own, 'answers');
  }

  /** Which run of a producer has the highest number of a generation, and the number. */
  get lastGeneration(): string {
    return join(this.own, 'last-generation.json');
  }

  /** Of what was read of settled jobs' metadata. */
  evidenceCache(name: string): string {
    return join(this.own, `evidence-${name}.cache`);
  }

  lease(baseName: string): string {
    return join(this.leases, recordName(baseName));
  }

  claim(baseName: string): string {
    return join(this.claims, `${baseName}.txt`);
  }

  move(baseName: string): string {
    return join(this.moves, recordName(baseName));
  }

  answer(baseName: string): string {
    return join(this.answers, recordName(baseName));
  }
}

/** A job whose name has no room for an ending has records under a short one. */
function recordName(baseName: string): string {
  return `${fitsFiles(baseName) ? baseName : sha256Of(baseName)}.json`;
}
