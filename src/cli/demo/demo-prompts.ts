import type { CellTable } from '../../syntx/learning/cell-table.js';
import type { ConsumePromptsResult } from '../../workflows/consume.js';
import type { ProducePromptsResult } from '../../workflows/produce.js';
import { readTable } from '../evolution/evolution-views.js';
import { heatmapText } from '../evolution/heatmap-text.js';
import { startConsumption, startProduction } from '../queue/start-prompt-runs.js';
import type { TemporalSession } from '../temporal-client.js';
import type { DemoMachine } from './demo-machine.js';

/** One round of the prompt evolution, and what it has learned. */
export interface DemoPrompts {
  readonly produced: ProducePromptsResult;
  readonly consumed: ConsumePromptsResult;
  readonly table: CellTable;
}

/** Has prompts made, answered through one wrapper, and scored. */
export async function runDemoPrompts(
  machine: DemoMachine,
  { client }: Pick<TemporalSession, 'client'>,
): Promise<DemoPrompts> {
  const { output } = machine.context;
  const production = await startProduction(client, {});
  output.say(`Started ${production.workflowId}: prompts for the SYNTX queue`);
  const produced = await production.result();
  const consumption = await startConsumption(client, { wrapper: 'syntex_system' });
  output.say(`Started ${consumption.workflowId}: answers and scores`);
  const consumed = await consumption.result();
  return { produced, consumed, table: await readTable(undefined, machine.context) };
}

/** What the demo promises of it, as far as it is not true. */
export function promptFaults({ produced, consumed, table }: DemoPrompts): string[] {
  const faults: string[] = [];
  if (produced.written !== produced.requested)
    faults.push(`${produced.written} of ${produced.requested} prompts were written`);
  if (!produced.simulated) faults.push('the producer does not say that its endpoint was simulated');
  if (!consumed.simulated) faults.push('the consumer does not say that its service was simulated');
  const scored = consumed.processed + consumed.low;
  if (scored !== produced.written) faults.push(`${scored} of ${produced.written} prompts were scored`);
  if (table.jobs !== scored) faults.push(`the evolution knows ${table.jobs} of ${scored} scores`);
  return faults;
}

export function promptLines({ produced, consumed, table }: DemoPrompts): string[] {
  const { processed, low, meanScore } = consumed;
  return [
    `Prompts made     ${produced.written} of ${produced.requested}, ${produced.paid.toFixed(4)} USD [simulated]`,
    `       scored   ${processed} processed, ${low} below the threshold, mean ${meanScore ?? '-'} [simulated]`,
    '       expected score (scores) by style and category',
    ...heatmapText(table.rows, { colour: false })
      .split('\n')
      .map((line) => `       ${line}`),
  ];
}
