import { TowerError } from '../../errors.js';
import { adapterFacts, metricText, type AdapterFacts } from './adapter-facts.js';
import type { CommandContext } from '../command-context.js';
import { readLedger } from '../data/read-ledger.js';
import { tableText } from '../table.js';

/** @throws TowerError `UNKNOWN_VERSION`; `NO_EARLIER_CHAMPION` when there is no champion to compare with */
export async function compareAdapters(
  context: CommandContext,
  version: string,
  other: string | undefined,
): Promise<void> {
  await readLedger(context, (ledger) => {
    const against = other ?? ledger.runs.champion()?.version;
    if (against === undefined) {
      throw new TowerError('NO_EARLIER_CHAMPION', 'there is no champion yet to compare with', {
        next: 'Name a second version.',
      });
    }
    const [one, two] = [adapterFacts(ledger, version), adapterFacts(ledger, against)];
    const common = one.batches.filter((batch) => two.batches.includes(batch)).length;
    const sameData = one.trainingSetSha256 === two.trainingSetSha256;
    const notes = [
      sameData ? 'Both learned from the same training set.' : 'Their training sets differ.',
      'Losses of different cycles are of different held-out samples; only an evaluation compares on the same ones.',
    ];
    const table = tableText(['', version, against], rowsOf(one, two, common));
    context.output.result(
      { versions: [one, two], sameTrainingSet: sameData, commonBatches: common },
      [table, '', ...notes].join('\n'),
    );
  });
}

function rowsOf(one: AdapterFacts, two: AdapterFacts, common: number): string[][] {
  const row = (name: string, of: (facts: AdapterFacts) => string) => [name, of(one), of(two)];
  const metrics = [...new Set([...Object.keys(one.metrics), ...Object.keys(two.metrics)])];
  return [
    row('state', ({ state, champion }) => (champion ? `${state}, champion` : state)),
    row('cycle', ({ cycle }) => cycle),
    row('simulated', ({ simulated }) => (simulated ? 'yes' : 'no')),
    row('fingerprint', ({ fingerprint }) => fingerprint.slice(0, 12)),
    row('samples', ({ trainSamples, heldOutSamples }) => `${trainSamples} + ${heldOutSamples} held out`),
    row('batches', ({ batches }) => `${batches.length}, ${common} in both`),
    row('delivered', ({ deliveryText }) => deliveryText),
    ...metrics.map((name) => row(name, (facts) => metricText(facts.metrics[name]))),
    row('reason', ({ reason }) => reason ?? '-'),
  ];
}
