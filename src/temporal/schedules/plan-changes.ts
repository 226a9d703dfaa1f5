import { ScheduleNotFoundError, type Client, type ScheduleDescription } from '@temporalio/client';

import { TowerError } from '../../errors.js';
import { scheduleIdPrefix, type DeclaredSchedule } from './declaration.js';
import { differencesOf, type ScheduleDifference } from './differences.js';
import { definitionOf, ownerMemo } from './schedule-options.js';

/** What has to happen to one schedule so that the server has what is declared. */
export type ScheduleChange =
  | { readonly change: 'create'; readonly id: string; readonly declared: DeclaredSchedule }
  | {
      readonly change: 'update';
      readonly id: string;
      readonly declared: DeclaredSchedule;
      readonly differences: readonly ScheduleDifference[];
    }
  | { readonly change: 'unchanged'; readonly id: string; readonly declared: DeclaredSchedule }
  | { readonly change: 'delete'; readonly id: string; readonly reason: string };

/**
 * Compares declarations with the server; changes nothing.
 *
 * @throws TowerError `SCHEDULE_NOT_OURS` when somebody else's schedule has the id of a declared one.
 */
export async function planScheduleChanges(
  client: Client,
  declarations: readonly DeclaredSchedule[],
): Promise<ScheduleChange[]> {
  const changes: ScheduleChange[] = [];
  for (const declared of declarations) {
    const description = await describeSchedule(client, declared.id);
    if (description !== undefined && !isOurs(description)) {
      throw new TowerError('SCHEDULE_NOT_OURS', `a schedule ${declared.id} is there that Tower did not make`, {
        next: `Delete it (temporal schedule delete --schedule-id ${declared.id}) or use a namespace of Tower's own.`,
      });
    }
    const change = changeOf(declared, description);
    if (change !== undefined) changes.push(change);
  }
  const declaredIds = new Set(declarations.map(({ id }) => id));
  for await (const { scheduleId: id, memo } of client.schedule.list()) {
    // The list lags behind deletions; those are answered by the description.
    if (declaredIds.has(id) || !isOurs({ scheduleId: id, memo })) continue;
    if ((await describeSchedule(client, id)) !== undefined)
      changes.push({ change: 'delete', id, reason: 'not declared' });
  }
  return changes;
}

/** A schedule's description, or `undefined` when there is none. */
export async function describeSchedule(client: Client, id: string): Promise<ScheduleDescription | undefined> {
  try {
    return await client.schedule.getHandle(id).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}

function changeOf(declared: DeclaredSchedule, found: ScheduleDescription | undefined): ScheduleChange | undefined {
  const { id } = declared;
  if (!declared.enabled) {
    return found && { change: 'delete', id, reason: 'switched off in the configuration' };
  }
  if (found === undefined) return { change: 'create', id, declared };
  const differences = differencesOf(found, definitionOf(declared));
  if (differences.length === 0) return { change: 'unchanged', id, declared };
  return { change: 'update', id, declared, differences };
}

function isOurs({ scheduleId, memo }: Pick<ScheduleDescription, 'scheduleId' | 'memo'>): boolean {
  return scheduleId.startsWith(scheduleIdPrefix) && memo?.['owner'] === ownerMemo.owner;
}
