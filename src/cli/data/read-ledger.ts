import { Ledger } from '../../signz-mind/ledger/ledger.js';
import type { CommandContext } from '../command-context.js';

/** Lets a command look at the ledger; it can write nothing, and a worker may write meanwhile. */
export async function readLedger<Result>(
  { paths }: Pick<CommandContext, 'paths'>,
  look: (ledger: Ledger) => Result | Promise<Result>,
): Promise<Result> {
  const ledger = Ledger.openReadOnly(paths.ledger);
  try {
    return await look(ledger);
  } finally {
    ledger.close();
  }
}
