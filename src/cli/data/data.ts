import { InvalidArgumentError, Option, type Command } from 'commander';

import { batchStates } from '../../signz-mind/ledger/batches.js';
import { trainingSetFormats, type TrainingSetFormat } from '../../signz-mind/training-set/options.js';
import { contextOf } from '../command-context.js';
import type { SetExitCode } from '../exit-codes.js';

/** `tower data list|show|check|import|export` and `tower data quarantine list|show|retry|drop`. */
export function addDataCommand(program: Command, setExitCode: SetExitCode): void {
  const data = program.command('data').description('batches and rows: what came in, and what became of it');
  data
    .command('list')
    .description('every batch with its state, counts and the reason for where it stands')
    .addOption(new Option('--state <state>', 'only batches in this state').choices(batchStates))
    .option('-n, --limit <count>', 'only the newest', parseCount)
    .action(async (options: { state?: string; limit?: number }, command: Command) => {
      const { listBatches } = await import('./data-views.js');
      await listBatches(await contextOf(command), options);
    });
  data
    .command('show')
    .description('one batch, or all versions of one row')
    .argument('<batch or uuid>')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { showData } = await import('./data-views.js');
      await showData(await contextOf(command), name);
    });
  data
    .command('check')
    .description('prove that rows in = stored + superseded + quarantined, for every batch; exit code 1 if not')
    .action(async (_options: unknown, command: Command) => {
      const { checkData } = await import('./data-check.js');
      setExitCode(await checkData(await contextOf(command)));
    });
  data
    .command('import')
    .description('bring in a local file of JSON lines, or the database of an old tower')
    .argument('[file]', 'JSON lines as the editor writes them')
    .option('--source <user/client>', "whose rows these are; default: as the file's name says, else local")
    .option('--legacy-db [file]', 'SQLite file of an old tower, read only; default: data.legacyDatabase')
    .action(
      async (file: string | undefined, options: { source?: string; legacyDb?: string | true }, command: Command) => {
        const { importData } = await import('./data-import.js');
        await importData(await contextOf(command), file, options);
      },
    );
  data
    .command('export')
    .description('write the training set as it would be now: train.jsonl and heldout.jsonl')
    .argument('<folder>')
    .addOption(new Option('--format <name>', 'default: data.trainingSet').choices(trainingSetFormats))
    .action(async (folder: string, options: { format?: TrainingSetFormat }, command: Command) => {
      const { exportTrainingSet } = await import('./data-export.js');
      await exportTrainingSet(await contextOf(command), folder, options.format);
    });
  addQuarantineCommand(data);
}

function addQuarantineCommand(data: Command): void {
  const quarantine = data.command('quarantine').description('batches that were set aside, and rows that were refused');
  quarantine
    .command('list')
    .description('what is quarantined, with line and reason')
    .action(async (_options: unknown, command: Command) => {
      const { listQuarantine } = await import('./quarantine-views.js');
      await listQuarantine(await contextOf(command));
    });
  quarantine
    .command('show')
    .description('the refused rows of one batch, each with its start')
    .argument('<batch>')
    .action(async (batch: string, _options: unknown, command: Command) => {
      const { showQuarantine } = await import('./quarantine-views.js');
      await showQuarantine(await contextOf(command), batch);
    });
  for (const [name, edit, description] of [
    ['retry', 'retry-batch', 'give a batch that was set aside another try in the next cycle'],
    ['drop', 'drop-batch', 'give up what is quarantined of a batch; that it was there stays on record'],
  ] as const) {
    quarantine
      .command(name)
      .description(description)
      .argument('<batch>')
      .option('--reason <text>', 'why, for whoever looks next', 'by hand')
      .action(async (batch: string, { reason }: { reason: string }, command: Command) => {
        const { editLedger } = await import('../runs/run-by-hand.js');
        const context = await contextOf(command);
        const result = await editLedger(context, { edit, batch, reason });
        context.output.result({ batch, edit, reason, done: result.done }, result.done);
      });
  }
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('Expected a whole number from 1.');
  return count;
}
