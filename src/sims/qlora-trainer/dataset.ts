import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { TrainerFault } from './events.js';

export interface SimulatedDataset {
  readonly samples: number;
  /** Of the file's bytes, lower-case hex. */
  readonly sha256: string;
}

/** Reads a JSONL dataset by the real trainer's rules: strict UTF-8, one object `{prompt?, completion}` a line. */
export function readDataset(path: string): SimulatedDataset {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new TrainerFault('bad-dataset', `cannot read ${path}: ${(error as Error).message}`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new TrainerFault('bad-dataset', `${path} is not UTF-8`);
  }
  let samples = 0;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    if (!isSample(line)) {
      throw new TrainerFault(
        'bad-dataset',
        `${path}, line ${index + 1}: expected {"prompt"?, "completion"} with texts`,
      );
    }
    samples += 1;
  }
  if (samples === 0) throw new TrainerFault('bad-dataset', `${path} holds no sample`);
  return { samples, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function isSample(line: string): boolean {
  try {
    const { prompt, completion } = JSON.parse(line) as { prompt?: unknown; completion?: unknown };
    return typeof completion === 'string' && completion !== '' && ['string', 'undefined'].includes(typeof prompt);
  } catch {
    return false;
  }
}
