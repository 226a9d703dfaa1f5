import type { Client } from '@temporalio/client';

import type { Log } from '../../log/logger.js';
import type { DeclaredSchedule } from './declaration.js';
import { mirrorPauses, readPauseMirror, type PauseMirror } from './pause-mirror.js';
import { planScheduleChanges, type ScheduleChange } from './plan-changes.js';
import { definitionOf, ownerMemo } from './schedule-options.js';

/**
 * Makes the server's schedules what is declared: creates, updates, deletes Tower's own that are not declared any more. A
 * person's pause and note stay, also when the database was deleted in between.
 *
 * @throws TowerError `SCHEDULE_NOT_OURS` before anything is changed.
 */
export async function applySchedules(
  client: Client,
  declarations: readonly DeclaredSchedule[],
  { stateDirectory, log }: { readonly stateDirectory: string; readonly log: Log },
): Promise<ScheduleChange[]> {
  const changes = await planScheduleChanges(client, declarations);
  const mirror = await readPauseMirror(stateDirectory);
  for (const change of changes) {
    await apply(client, change, mirror);
    if (change.change !== 'unchanged') log.info(summaryOf(change), 'schedule applied');
  }
  await mirrorPauses(client, declarations, stateDirectory);
  return changes;
}

/**
 * Deletes every schedule that is Tower's own, and nobody else's. Their pauses stay in the state directory for the day they
 * are applied again.
 *
 * @returns the ids that were deleted.
 */
export async function removeSchedules(client: Client, { log }: { readonly log: Log }): Promise<string[]> {
  const changes = await planScheduleChanges(client, []);
  for (const change of changes) {
    await apply(client, change, {});
    log.info({ id: change.id, change: 'delete', reason: 'tower schedule remove --all' }, 'schedule removed');
  }
  return changes.map(({ id }) => id);
}

async function apply(client: Client, change: ScheduleChange, mirror: PauseMirror): Promise<void> {
  switch (change.change) {
    case 'create': {
      const { paused = false, note = '' } = mirror[change.id] ?? {};
      const definition = definitionOf(change.declared);
      await client.schedule.create({ scheduleId: change.id, ...definition, memo: ownerMemo, state: { paused, note } });
      return;
    }
    case 'update': {
      const definition = definitionOf(change.declared);
      // Pure: the SDK may call it again. A person's pause, note and limit are theirs.
      await client.schedule.getHandle(change.id).update(({ state }) => ({ ...definition, state }));
      return;
    }
    case 'delete':
      await client.schedule.getHandle(change.id).delete();
      return;
    case 'unchanged':
  }
}

function summaryOf(change: ScheduleChange): Record<string, unknown> {
  const { id, change: kind } = change;
  if (kind === 'update') return { id, change: kind, settings: change.differences.map(({ setting }) => setting) };
  return kind === 'delete' ? { id, change: kind, reason: change.reason } : { id, change: kind };
}
