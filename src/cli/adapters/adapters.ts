import { InvalidArgumentError, type Command } from 'commander';

import { contextOf } from '../command-context.js';

/** `tower adapters list|show|compare|promote|rollback`. */
export function addAdaptersCommand(program: Command): void {
  const adapters = program.command('adapters').description('trained versions: which is in use, and why');
  adapters
    .command('list')
    .description('every version with its data, loss, and whether and why (not) it is the champion and delivered')
    .option('-n, --limit <count>', 'only the newest', parseCount, 50)
    .action(async (options: { limit: number }, command: Command) => {
      const { listAdapters } = await import('./adapter-views.js');
      await listAdapters(await contextOf(command), options.limit);
    });
  adapters
    .command('show')
    .description('one version with all its figures, batches, delivery and champion changes')
    .argument('<version>')
    .action(async (version: string, _options: unknown, command: Command) => {
      const { showAdapter } = await import('./adapter-views.js');
      await showAdapter(await contextOf(command), version);
    });
  adapters
    .command('compare')
    .description('two versions side by side')
    .argument('<version>')
    .argument('[other]', 'default: the champion')
    .action(async (version: string, other: string | undefined, _options: unknown, command: Command) => {
      const { compareAdapters } = await import('./adapter-compare.js');
      await compareAdapters(await contextOf(command), version, other);
    });
  adapters
    .command('promote')
    .description('make a trained version the champion whatever the gate said, and deliver it')
    .argument('<version>')
    .requiredOption('--reason <text>', 'why; it is recorded', parseReason)
    .action(async (version: string, { reason }: { reason: string }, command: Command) => {
      const { promoteAdapter } = await import('./adapter-edits.js');
      await promoteAdapter(await contextOf(command), version, reason);
    });
  adapters
    .command('rollback')
    .description('make an earlier champion the champion again; the server keeps its latest upload')
    .argument('[version]', 'default: the champion before the present one')
    .requiredOption('--reason <text>', 'why; it is recorded', parseReason)
    .option('--deliver', 'also deliver its adapter again, under a new version, so that editors load it')
    .action(async (version: string | undefined, options: { reason: string; deliver?: boolean }, command: Command) => {
      const { rollbackAdapter } = await import('./adapter-edits.js');
      await rollbackAdapter(await contextOf(command), version, options);
    });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('Expected a whole number from 1.');
  return count;
}

function parseReason(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Expected some words.');
  return text.trim();
}
