import type { ServiceOptions } from '../../service-options.js';
import { hasPrice } from '../generation/gpt-cost.js';
import { generatePrompts, type GenerationProgress, type GenerationRequest } from '../generation/generate-prompts.js';
import { promptMetadata, type CallRecord } from '../generation/prompt-result.js';
import type { SyntxFiles } from '../open-syntx.js';
import { readPlainText } from '../queue/plain-file.js';
import type { Producer } from './producer.js';
import { ProductionRun, requirePlan, type ProductionOutcome } from './production-run.js';
import type { GenerationCounts, ProductionReference } from './records.js';

/** New prompts must differ from so many of the newest that wait, and are being answered. */
const mostWaiting = 300;
/** So many answered prompts new ones must differ from, of each place. */
const mostAnswered = 100;

/**
 * Makes what the plan asks for; what an earlier attempt has paid for is not made again, nor anything of a run that is published.
 *
 * @throws as `generatePrompts`; of the state directory and the logs
 */
export async function generateProduction(
  { files, settings, runs, readApiKey }: Producer,
  { run: name, askingSince }: ProductionReference & Pick<GenerationRequest, 'askingSince'>,
  options: ServiceOptions<GenerationProgress>,
): Promise<GenerationCounts> {
  const run = new ProductionRun(runs, name);
  const plan = await requirePlan(run);
  const published = await run.published();
  if (published !== undefined) {
    const outcome = await run.outcome(options.log);
    return { ...generationCounts(published.written, outcome), paid: outcome?.paid ?? (await run.spent(options.log)) };
  }
  const kept = await run.prompts();
  if (kept.length < plan.prompts.length) await run.requirePlace();
  const summary = await generatePrompts(
    {
      ...{ plan: plan.prompts, learnedFrom: plan.learnedFrom, done: new Set(kept.map(({ index }) => index)) },
      ...{ spent: await run.spent(options.log), askingSince },
      recent: [
        ...kept.map(({ index, text }) => ({ name: `prompt ${index + 1} of this run`, text })),
        ...(await recentPrompts(files)),
      ],
      apiKey: await readApiKey(),
      options: settings.generation,
      onPrompt: (made) => run.keep(made, promptMetadata(made)),
      onCall: async (call) => {
        if (call.cost !== null) await run.noteCost(call.key, call.cost.total_cost);
        await logCall(files, call);
      },
    },
    options,
  );
  const all = await run.prompts();
  const outcome = {
    failed: summary.failed.map(({ index, error }) => ({ index, error })),
    stopped: summary.stopped,
    ...{ paid: summary.paid, priced: hasPrice(settings.generation) },
    simulated: all.some(({ simulated }) => simulated),
  };
  await run.writeOutcome(outcome);
  return generationCounts(all.length, outcome);
}

function generationCounts(made: number, outcome: ProductionOutcome | undefined): GenerationCounts {
  const { failed = [], stopped = null, paid = 0, priced, simulated = false } = outcome ?? {};
  return { made, failed: failed.length, stopped, paid, priced, simulated };
}

async function recentPrompts({ queue }: SyntxFiles): Promise<{ name: string; text: string }[]> {
  const places = [
    ['incoming', mostWaiting],
    ['processing', mostWaiting],
    ['processed', mostAnswered],
    ['error', mostAnswered],
    ['archive', mostAnswered],
  ] as const;
  const recent: { name: string; text: string }[] = [];
  for (const [place, most] of places) {
    const names = await queue.baseNames(place);
    const isOldestFirst = place === 'incoming' || place === 'processing';
    for (const baseName of isOldestFirst ? names.slice(-most) : names.slice(0, most)) {
      const text = await readPlainText(queue.paths.prompt({ place, baseName }));
      if (text !== undefined) recent.push({ name: baseName, text });
    }
  }
  return recent;
}

async function logCall({ logs }: SyntxFiles, { key, line, cost, simulated }: CallRecord): Promise<void> {
  await logs.generation(key, { ...line, ...(simulated && { tower_simulated: true }) });
  if (cost === null) return;
  await logs.cost({
    ...{ key, inputTokens: cost.input_tokens, outputTokens: cost.output_tokens, currency: cost.currency },
    ...{ inputCost: cost.input_cost, outputCost: cost.output_cost, totalCost: cost.total_cost },
    simulated,
  });
}
