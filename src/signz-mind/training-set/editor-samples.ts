import type { Sample } from './options.js';
import { splitSource } from './split-source.js';
import type { TrainingFeedback, TrainingRow } from './training-rows.js';

/**
 * Samples that teach what the editor asks for: how code goes on.
 *
 * - A snippet is a whole file that a person called good. It stays one text, with its imports and class headers, and is
 *   split only where it is too long, between top-level blocks if possible. (The original cuts at every blank line, so that a
 *   method never comes with its class.)
 * - An accepted suggestion is the task itself: the code before the cursor is the prompt, the accepted text the
 *   completion, and only the completion counts in the loss. The prompt keeps its end, nearest to the cursor. (The
 *   original cuts long samples at the end and so loses the accepted text.) The typed part of a word that the suggestion
 *   repeats is taken off the prompt, or the model would learn to write it twice.
 * - A correction is taken as its accepted result, a text like a snippet. Before and after in one row would teach a file to
 *   begin again where it ends.
 */
export function editorSamples(row: TrainingRow, maxCharacters: number): Sample[] {
  if (row.kind === 'snippet') return texts(row.content, maxCharacters);
  if (row.feedbackType === 'suggestion_used') return suggestion(row, maxCharacters);
  return texts(row.output, maxCharacters);
}

function texts(source: string, maxCharacters: number): Sample[] {
  return splitSource(source, maxCharacters).map((completion) => ({ completion }));
}

function suggestion({ context, output }: TrainingFeedback, maxCharacters: number): Sample[] {
  const completion = wholeCharacters(output.replaceAll('\r\n', '\n').slice(0, maxCharacters));
  if (completion.trim() === '') return [];
  const prompt = withoutRepeatedWord(context.replaceAll('\r\n', '\n'), completion);
  const room = Math.max(0, maxCharacters - completion.length);
  const kept = room === 0 ? '' : wholeCharacters(prompt.slice(-room));
  return [kept === '' ? { completion } : { prompt: kept, completion }];
}

/** `return ma` + `math.pi` → `return `. */
function withoutRepeatedWord(context: string, completion: string): string {
  const typed = /[\p{L}\p{N}_]+$/u.exec(context)?.[0] ?? '';
  return typed !== '' && completion.startsWith(typed) ? context.slice(0, -typed.length) : context;
}

/** Takes off the half of a surrogate pair that a cut may have left at either end. */
function wholeCharacters(text: string): string {
  return text.replace(/^\p{Surrogate}|\p{Surrogate}$/gu, '');
}
