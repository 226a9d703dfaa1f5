import { checkLedger } from '../../signz-mind/ledger/check.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { readLedger } from './read-ledger.js';

/** @returns 1 when anything does not add up. */
export async function checkData(context: CommandContext): Promise<ExitCode> {
  const check = await readLedger(context, checkLedger);
  const { batches, lines, stored, superseded, quarantined, faults } = check;
  const sum = `${lines} rows in = ${stored} stored + ${superseded} superseded + ${quarantined} quarantined`;
  const text =
    faults.length === 0
      ? `Every row of ${batches} batches is accounted for: ${sum}.`
      : [
          `${faults.length} faults in ${batches} batches (${sum}):`,
          ...faults.map(({ batch, fault }) => `  ${batch === undefined ? '' : `${batch}: `}${fault}`),
        ].join('\n');
  context.output.result({ sound: faults.length === 0, ...check }, text);
  return faults.length === 0 ? exitCodes.ok : exitCodes.failed;
}
