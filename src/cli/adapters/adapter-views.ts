import { adapterFacts, deliveryText, metricText } from './adapter-facts.js';
import type { CommandContext } from '../command-context.js';
import { localTime } from '../durations.js';
import { readLedger } from '../data/read-ledger.js';
import { pairsText, tableText } from '../table.js';

const fingerprintCharacters = 12;
const namedBatches = 10;

export async function listAdapters(context: CommandContext, limit: number): Promise<void> {
  await readLedger(context, ({ runs, deliveries, champions }) => {
    const adapters = runs.list(limit).map((run) => {
      const delivery = deliveries.get(run.version) ?? null;
      return { ...run, delivery, deliveryText: deliveryText(run, delivery) };
    });
    const table = tableText(
      ['', 'VERSION', 'STATE', 'DATA', 'SAMPLES', 'LOSS', 'HELD OUT', 'DELIVERED', 'REASON'],
      adapters.map((run) => [
        run.champion ? '*' : '',
        run.version,
        run.simulated ? `${run.state} [simulated]` : run.state,
        run.fingerprint.slice(0, fingerprintCharacters),
        String(run.trainSamples),
        metricText(run.metrics['trainLoss']),
        metricText(run.metrics['heldOutLoss']),
        run.deliveryText,
        run.reason ?? '',
      ]),
    );
    const text = table === '' ? 'no adapter was trained yet' : `${table}\n* champion`;
    context.output.result({ adapters, championChanges: champions.list(limit) }, text);
  });
}

export async function showAdapter(context: CommandContext, version: string): Promise<void> {
  await readLedger(context, (ledger) => {
    const facts = adapterFacts(ledger, version);
    const { delivery, batches } = facts;
    const more = batches.length > namedBatches ? ` and ${batches.length - namedBatches} more` : '';
    const text = pairsText([
      ['version', facts.champion ? `${version} (champion)` : version],
      ['state', facts.simulated ? `${facts.state} [simulated]` : facts.state],
      ['reason', facts.reason ?? '-'],
      ['cycle', facts.cycle],
      ['fingerprint', facts.fingerprint],
      [
        'training set',
        `${facts.trainSamples} samples, ${facts.heldOutSamples} held out; sha256 ${facts.trainingSetSha256}`,
      ],
      ['batches', batches.length === 0 ? '-' : `${batches.slice(0, namedBatches).join(', ')}${more}`],
      ['delivered', facts.deliveryText],
      ...(delivery === null || delivery.bytes === 0
        ? []
        : [['package', `${delivery.bytes} bytes, sha256 ${delivery.packageSha256}`] as const]),
      ...Object.entries(facts.metrics).map(([name, value]) => [name, metricText(value)] as const),
      ...facts.championChanges.map(
        ({ changedAt, cause, previous, reason }) =>
          ['champion', `${localTime(changedAt)}, ${cause}, after ${previous ?? 'none'}: ${reason}`] as const,
      ),
    ]);
    context.output.result(facts, text);
  });
}
