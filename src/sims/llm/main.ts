import { parseArgs } from 'node:util';

import { llmFaultPlanSchema, llmFaultsFromRules } from './faults.js';
import { startLlmServer } from './server.js';

/**
 * `node dist/sims/llm/main.js [--port <n>] [--latency <ms>] [--faults <json>]`
 *
 * Prints one JSON line with the address when it is ready; ends with SIGINT or SIGTERM.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      latency: { type: 'string', default: '0' },
      faults: { type: 'string', default: '[]' },
    },
  });
  const server = await startLlmServer({
    port: Number(values.port),
    latencyMs: Number(values.latency),
    faults: llmFaultsFromRules(llmFaultPlanSchema.parse(JSON.parse(values.faults))),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
  process.stdout.write(`${JSON.stringify({ simulated: true, address: server.address, pid: process.pid })}\n`);
}

await main();
