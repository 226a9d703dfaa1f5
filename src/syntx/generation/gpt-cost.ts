import { pythonRound } from '../scores/python-round.js';
import type { GenerationOptions } from './options.js';

/** What a call has cost, with the keys of the queue's metadata (contract syntx 2.5). A model without a price: three zeros. */
export interface GptCost {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly input_cost: number;
  readonly output_cost: number;
  readonly total_cost: number;
  readonly currency?: 'USD';
}

export interface TokenUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

const million = 1_000_000;

/** Without a price nobody knows what a run costs. */
export function hasPrice({ model, prices }: Pick<GenerationOptions, 'model' | 'prices'>): boolean {
  return prices[model] !== undefined;
}

export function gptCost(model: string, usage: TokenUsage, prices: GenerationOptions['prices']): GptCost {
  const price = prices[model];
  if (price === undefined) return { input_cost: 0, output_cost: 0, total_cost: 0 };
  const input = (usage.inputTokens * price.inputPerMillion) / million;
  const output = (usage.outputTokens * price.outputPerMillion) / million;
  return {
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    input_cost: pythonRound(input, 6),
    output_cost: pythonRound(output, 6),
    total_cost: pythonRound(input + output, 6),
    currency: 'USD',
  };
}
