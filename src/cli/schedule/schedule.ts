import { InvalidArgumentError, type Command } from 'commander';

import { contextOf } from '../command-context.js';

/** `tower schedule apply|remove|list|next|pause|unpause|trigger`. */
export function addScheduleCommand(program: Command): void {
  const schedule = program.command('schedule').description('what runs by itself, and when');
  schedule
    .command('apply')
    .description('make the server have what schedules/ and the configuration declare; pauses stay')
    .option('--dry-run', 'say what would change')
    .action(async (options: { dryRun?: boolean }, command: Command) => {
      const { applyCommand } = await import('./schedule-commands.js');
      await applyCommand(await contextOf(command), { dryRun: options.dryRun ?? false });
    });
  schedule
    .command('list')
    .description('every schedule with its next time, and how many runs were missed or skipped')
    .action(async (_options: unknown, command: Command) => {
      const { listCommand } = await import('./schedule-commands.js');
      await listCommand(await contextOf(command));
    });
  schedule
    .command('next')
    .description('coming times day by day, and days on which the clocks make them odd')
    .argument('[name]', 'for example daily; default: all')
    .option('--days <count>', 'how far to look', parseDays, 14)
    .option('--odd', 'only odd days')
    .action(async (name: string | undefined, options: { days: number; odd?: boolean }, command: Command) => {
      const { nextCommand } = await import('./schedule-next.js');
      await nextCommand(await contextOf(command), name, { days: options.days, odd: options.odd ?? false });
    });
  schedule
    .command('remove')
    .description("delete Tower's own schedules from the server; others stay")
    .requiredOption('--all', 'all of them; to remove one, switch it off in the configuration and apply')
    .action(async (_options: unknown, command: Command) => {
      const { removeCommand } = await import('./schedule-commands.js');
      await removeCommand(await contextOf(command));
    });
  schedule
    .command('pause')
    .description('nothing new starts by it; what runs goes on')
    .argument('<name>', 'for example daily')
    .option('--note <text>', 'why, for whoever looks next', parseNote, 'paused with tower schedule pause')
    .action(async (name: string, options: { note: string }, command: Command) => {
      const { pauseCommand } = await import('./schedule-commands.js');
      await pauseCommand(await contextOf(command), name, options.note);
    });
  schedule
    .command('unpause')
    .description('let it go on')
    .argument('<name>', 'for example daily')
    .option('--note <text>', 'why, for whoever looks next', parseNote, 'goes on since tower schedule unpause')
    .action(async (name: string, options: { note: string }, command: Command) => {
      const { unpauseCommand } = await import('./schedule-commands.js');
      await unpauseCommand(await contextOf(command), name, options.note);
    });
  schedule
    .command('trigger')
    .description('fire it now, under its own rule for overlaps')
    .argument('<name>', 'for example daily')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { triggerCommand } = await import('./schedule-commands.js');
      await triggerCommand(await contextOf(command), name);
    });
}

function parseDays(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 3660) throw new InvalidArgumentError('Expected 1 to 3660 days.');
  return days;
}

/** To the server, an empty note is no request at all. */
function parseNote(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Expected some words.');
  return text;
}
