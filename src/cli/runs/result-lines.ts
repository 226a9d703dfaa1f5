import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import type { CleanQueueResult } from '../../workflows/clean.js';
import type { ConsumePromptsResult } from '../../workflows/consume.js';
import type { DailyCycleResult } from '../../workflows/daily-cycle.js';
import type { MonitorQueueResult } from '../../workflows/monitor.js';
import type { ProducePromptsResult } from '../../workflows/produce.js';
import { characterLines } from '../character/result-text.js';
import { cleanedLines, consumedLines, monitoredLines, producedLines } from '../queue/prompt-result-text.js';
import { dailyCycleLines } from './daily-result-text.js';

/** What a completed run has come to, for people; nothing for types whose end says it all. */
export function resultLines({ type, result }: { readonly type: string; readonly result: unknown }): readonly string[] {
  switch (type) {
    case 'dailyCycle':
      return dailyCycleLines(result as DailyCycleResult);
    case 'characterLora':
      return characterLines(result as CharacterLoraResult);
    case 'producePrompts':
      return producedLines(result as ProducePromptsResult);
    case 'consumePrompts':
      return consumedLines(result as ConsumePromptsResult);
    case 'monitorQueue':
      return monitoredLines(result as MonitorQueueResult);
    case 'cleanQueue':
      return cleanedLines(result as CleanQueueResult);
    default:
      return [];
  }
}
