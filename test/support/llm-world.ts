import { pino } from 'pino';

import {
  generatePrompts,
  type GenerationProgress,
  type GenerationRequest,
} from '../../src/syntx/generation/generate-prompts.js';
import { generationOptionsSchema } from '../../src/syntx/generation/options.js';
import type { CallRecord, MadePrompt } from '../../src/syntx/generation/prompt-result.js';
import type { PlannedPrompt } from '../../src/syntx/learning/draw.js';
import { llmFaultsFromRules, type LlmFaultRule, type LlmFaults } from '../../src/sims/llm/faults.js';
import { startLlmServer, type LlmServer, type LlmServerOptions } from '../../src/sims/llm/server.js';

export const llmKey = 'llm-key-canary-7c1e93';
const silent = pino({ level: 'silent' });

/** Prompts to be made, all on subjects of their own. */
export function plan(...topics: string[]): PlannedPrompt[] {
  return topics.map((topic) => ({
    ...{ topic, style: 'casual', category: 'harmlos' },
    reason: { kind: 'random', text: 'by the test' } as const,
  }));
}

interface RunChanges extends Partial<GenerationRequest> {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GenerationProgress) => void;
}

interface CurrentFaults {
  current: LlmFaults;
}

/** A simulated endpoint over real HTTP, and what a run on it has brought. */
export class LlmWorld {
  readonly server: LlmServer;
  readonly made: MadePrompt[] = [];
  readonly calls: CallRecord[] = [];
  readonly #rules: CurrentFaults;

  private constructor(server: LlmServer, rules: CurrentFaults) {
    this.server = server;
    this.#rules = rules;
  }

  static async create(options: Omit<LlmServerOptions, 'faults'> = {}): Promise<LlmWorld> {
    const rules: CurrentFaults = { current: () => undefined };
    const server = await startLlmServer({
      ...{ apiKey: llmKey, ...options },
      faults: (message) => rules.current(message),
    });
    return new LlmWorld(server, rules);
  }

  faults(...rules: LlmFaultRule[]): void {
    this.#rules.current = llmFaultsFromRules(rules);
  }

  generate(
    planned: readonly PlannedPrompt[],
    options: object = {},
    { signal = new AbortController().signal, onProgress, ...changes }: RunChanges = {},
  ): ReturnType<typeof generatePrompts> {
    const request: GenerationRequest = {
      ...{ plan: planned, learnedFrom: null, done: new Set<number>(), recent: [], apiKey: llmKey, pauseFactor: 0.001 },
      options: generationOptionsSchema.parse({ baseUrl: this.server.address, ...options }),
      onPrompt: (prompt) => {
        this.made.push(prompt);
        return Promise.resolve();
      },
      onCall: (call) => {
        this.calls.push(call);
        return Promise.resolve();
      },
      ...changes,
    };
    return generatePrompts(request, { signal, log: silent, onProgress });
  }
}
