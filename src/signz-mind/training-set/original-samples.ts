import type { Sample } from './options.js';
import type { TrainingRow } from './training-rows.js';

/** What Python's `str.strip()` removes; JavaScript's `trim()` differs in a few characters. */
const space = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+`;
const outerSpace = new RegExp(`^${space}|${space}$`, 'g');

/**
 * The original's samples (contract signz-mind 6.1, 6.2): a file falls apart at every blank line, feedback is context and
 * output without anything between, and the loss covers all of it. The original joins all files by a blank line before it
 * splits; splitting each file gives the same blocks.
 */
export function originalSamples(row: TrainingRow): Sample[] {
  if (row.kind === 'feedback') return [{ completion: row.context + row.output }];
  return row.content
    .split('\n\n')
    .map((block) => block.replace(outerSpace, ''))
    .filter((block) => block !== '')
    .map((completion) => ({ completion }));
}
