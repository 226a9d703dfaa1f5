import type { ChatAnswer } from './chat-endpoint.js';

/** How refusals begin (contract syntx 2.5). */
const refusalPhrases = [
  'es tut mir leid',
  'ich kann nicht',
  'ich kann bei dieser anfrage nicht helfen',
  'i cannot',
  "i can't",
  "i'm not able to",
  'i apologize, but',
  "i'm sorry, but",
];
const searchedCharacters = 100;

/** Whether the model has refused to write: by its finish reason, its own word for it, or how the text begins. */
export function isRefusal({ text, finishReason, refusal }: ChatAnswer): boolean {
  if (finishReason === 'content_filter' || refusal !== null) return true;
  const start = [...(text ?? '')].slice(0, searchedCharacters).join('').toLowerCase();
  return refusalPhrases.some((phrase) => start.includes(phrase));
}
