import { TowerError } from '../../errors.js';
import { createLog } from '../../log/create-log.js';
import { applySchedules, removeSchedules } from '../../temporal/schedules/apply-schedules.js';
import { pauseSchedule, triggerSchedule, unpauseSchedule } from '../../temporal/schedules/control-schedules.js';
import { configuredSchedules, type DeclaredSchedule } from '../../temporal/schedules/declaration.js';
import { listSchedules } from '../../temporal/schedules/list-schedules.js';
import { planScheduleChanges, type ScheduleChange } from '../../temporal/schedules/plan-changes.js';
import type { CommandContext } from '../command-context.js';
import { scheduleTable } from './schedule-table.js';
import { withClient } from '../temporal-client.js';

export async function applyCommand(context: CommandContext, { dryRun }: { readonly dryRun: boolean }): Promise<void> {
  const declarations = await configuredSchedules(context.config);
  const log = createLog({ file: context.paths.logFile, level: context.config.log.level, role: 'cli' });
  const changes = await withClient(context, ({ client }) =>
    dryRun
      ? planScheduleChanges(client, declarations)
      : applySchedules(client, declarations, { stateDirectory: context.home, log }),
  );
  context.output.result({ dryRun, changes: changes.map(changeRecord) }, changes.map(changeText).join('\n'));
  if (dryRun) context.output.say('nothing was changed (--dry-run)');
}

export async function removeCommand(context: CommandContext): Promise<void> {
  const log = createLog({ file: context.paths.logFile, level: context.config.log.level, role: 'cli' });
  const removed = await withClient(context, ({ client }) => removeSchedules(client, { log }));
  const text =
    removed.length === 0 ? 'no schedule of Tower is there' : removed.map((id) => `removed  ${id}`).join('\n');
  context.output.result({ removed }, text);
  context.output.say('`tower schedule apply` and `tower up` bring back what the configuration has not switched off.');
}

export async function listCommand(context: CommandContext): Promise<void> {
  const declarations = await configuredSchedules(context.config);
  const schedules = await withClient(context, ({ client }) => listSchedules(client, declarations));
  context.output.result({ schedules }, scheduleTable(schedules, new Date()));
}

export async function pauseCommand(context: CommandContext, name: string, note: string): Promise<void> {
  const declared = await declaredSchedule(context, name);
  await withClient(context, ({ client }) => pauseSchedule({ client, stateDirectory: context.home }, declared, note));
  context.output.result(
    { id: declared.id, state: 'paused', note },
    `${declared.name} is paused. \`tower schedule unpause ${declared.name}\` lets it go on.`,
  );
}

export async function unpauseCommand(context: CommandContext, name: string, note: string): Promise<void> {
  const declared = await declaredSchedule(context, name);
  const next = await withClient(context, async ({ client }) => {
    await unpauseSchedule({ client, stateDirectory: context.home }, declared, note);
    return listSchedules(client, [declared]);
  });
  context.output.result({ id: declared.id, state: 'active', note }, scheduleTable(next, new Date()));
}

export async function triggerCommand(context: CommandContext, name: string): Promise<void> {
  const declared = await declaredSchedule(context, name);
  await withClient(context, ({ client }) => triggerSchedule(client, declared));
  context.output.result(
    { id: declared.id, triggered: true, overlap: declared.overlap.policy },
    `${declared.name} was fired. \`tower status\` shows what runs; with a run under way the rule is ${declared.overlap.policy}.`,
  );
}

/** @throws TowerError `NOT_FOUND` */
export async function declaredSchedule(context: CommandContext, name: string): Promise<DeclaredSchedule> {
  const declarations = await configuredSchedules(context.config);
  const declared = declarations.find((candidate) => candidate.name === name || candidate.id === name);
  if (declared !== undefined) return declared;
  const names = declarations.map((candidate) => candidate.name).join(', ');
  throw new TowerError('NOT_FOUND', `no schedule is called ${name}`, { next: `There are: ${names}.` });
}

/** A change without the whole declaration in it. */
function changeRecord(change: ScheduleChange): Record<string, unknown> {
  const { id, change: kind } = change;
  switch (change.change) {
    case 'update':
      return { id, change: kind, differences: change.differences };
    case 'delete':
      return { id, change: kind, reason: change.reason };
    case 'create':
    case 'unchanged':
      return { id, change: kind };
  }
}

function changeText(change: ScheduleChange): string {
  switch (change.change) {
    case 'create':
      return `create     ${change.id}: ${change.declared.cron.join(', ')} (${change.declared.timezone})`;
    case 'update':
      return [
        `update     ${change.id}`,
        ...change.differences.map(
          ({ setting, found, wanted }) =>
            `             ${setting}: ${JSON.stringify(found)} → ${JSON.stringify(wanted)}`,
        ),
      ].join('\n');
    case 'delete':
      return `delete     ${change.id}: ${change.reason}`;
    case 'unchanged':
      return `unchanged  ${change.id}`;
  }
}
