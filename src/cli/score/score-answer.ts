import { text } from 'node:stream/consumers';

import { scoreAnswer, type ScoreFormat } from '../../syntx/scores/quality-score.js';
import type { Output } from '../output.js';

/** The score object is data, with and without `--json`; an answer without any text has none, which is `null`. */
export async function scoreFromStdin(format: ScoreFormat, output: Output): Promise<void> {
  if (process.stdin.isTTY) output.say('reading the answer from the terminal; Ctrl-D ends it');
  const scored = scoreAnswer(await text(process.stdin), format);
  const score = scored?.score ?? null;
  if (scored !== null) output.say(`read as ${scored.format}`);
  output.result(score, JSON.stringify(score, null, 2));
}
