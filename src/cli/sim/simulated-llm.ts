import { once } from 'node:events';

import { llmFaultPlanSchema, llmFaultsFromRules } from '../../sims/llm/faults.js';
import { startLlmServer } from '../../sims/llm/server.js';
import type { CommandContext } from '../command-context.js';
import { interruptible } from '../interruption.js';
import { readFaultPlan, startAt } from './starting.js';

export interface SimulatedLlmOptions {
  readonly port: number;
  /** Milliseconds. */
  readonly latency: number;
  readonly faults?: string;
}

/**
 * Serves until Ctrl-C.
 *
 * @throws TowerError `PORT_TAKEN`; `USAGE` for a fault plan that cannot be read or says nothing known.
 */
export async function runSimulatedLlm(options: SimulatedLlmOptions, { output }: CommandContext): Promise<void> {
  const faults = llmFaultsFromRules(await readFaultPlan(options.faults, llmFaultPlanSchema));
  const { port, latency: latencyMs } = options;
  const server = await startAt(port, () => startLlmServer({ port, latencyMs, faults }));
  try {
    const { address } = server;
    output.line(
      { simulated: true, address },
      [
        'A simulated OpenAI-compatible endpoint is up.',
        `  Base URL ${address}`,
        '  Any key and any model will do; its answers name the model simulated-…',
      ].join('\n'),
    );
    output.say('Ctrl-C ends it; it keeps nothing.');
    await interruptible(async (signal) => {
      if (!signal.aborted) await once(signal, 'abort');
    });
  } finally {
    await server.close();
  }
}
