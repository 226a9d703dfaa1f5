import { instantOf } from './local-time.js';
import { isRecord, ownKeys, type Metadata } from './metadata.js';

/** Between these, consumers wrote the answer into `B.txt` (contract syntx 1.2; production ran on UTC). */
const overwrittenFrom = Date.parse('2025-12-06T23:24:00Z');
const overwrittenUntil = Date.parse('2025-12-10T02:07:00Z');

/**
 * Whether the text in `B.txt` of a processed job is the model's answer and not the prompt: it equals the answer in the metadata,
 * or, where that has none, the job was processed in the days when the original overwrote prompts. Tower overwrites none: what it has
 * settled may well have been answered with its own prompt.
 */
export function isOverwritten(
  metadata: Metadata,
  { text, hasAnswerFile }: { readonly text: string; readonly hasAnswerFile: boolean },
): boolean {
  const result = metadata['syntex_result'];
  if (hasAnswerFile || !isRecord(result) || ownKeys(metadata)['lease'] !== undefined) return false;
  const answer = result['response_text'];
  if (typeof answer === 'string' && answer !== '') return answer.trim() === text.trim();
  const processedAt = instantOf(metadata['processed_at'], 'UTC');
  return processedAt !== undefined && processedAt >= overwrittenFrom && processedAt < overwrittenUntil;
}
