import { ScheduleNotFoundError, type Client } from '@temporalio/client';

import { TowerError } from '../../errors.js';
import type { DeclaredSchedule } from './declaration.js';
import { mirrorPauses } from './pause-mirror.js';

export interface ScheduleControl {
  readonly client: Client;
  readonly stateDirectory: string;
}

/**
 * Pauses a schedule until somebody lets it go on; runs under way are not touched.
 *
 * @param note says why, for whoever looks next.
 * @throws TowerError `SCHEDULE_UNKNOWN` when the server has no such schedule.
 */
export async function pauseSchedule(
  { client, stateDirectory }: ScheduleControl,
  declared: DeclaredSchedule,
  note: string,
): Promise<void> {
  await known(declared, client.schedule.getHandle(declared.id).pause(note.trim() || 'paused'));
  await mirrorPauses(client, [declared], stateDirectory);
}

/**
 * Lets a paused schedule go on.
 *
 * @param note says why. To the server an empty note is no request at all, so an empty one gets words.
 * @throws TowerError `SCHEDULE_UNKNOWN` when the server has no such schedule.
 */
export async function unpauseSchedule(
  { client, stateDirectory }: ScheduleControl,
  declared: DeclaredSchedule,
  note: string,
): Promise<void> {
  await known(declared, client.schedule.getHandle(declared.id).unpause(note.trim() || 'goes on'));
  await mirrorPauses(client, [declared], stateDirectory);
}

/**
 * Fires a schedule now, paused or not, under its own overlap policy: the server's default would run two at a time.
 *
 * @throws TowerError `SCHEDULE_UNKNOWN` when the server has no such schedule.
 */
export async function triggerSchedule(client: Client, declared: DeclaredSchedule): Promise<void> {
  await known(declared, client.schedule.getHandle(declared.id).trigger(declared.overlap.policy));
}

async function known(declared: DeclaredSchedule, call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
    throw new TowerError('SCHEDULE_UNKNOWN', `the server has no schedule ${declared.id}`, {
      cause: error,
      next: declared.enabled
        ? 'Run `tower schedule apply`.'
        : `Switch it on in the configuration: schedules.${declared.name}.enabled.`,
    });
  }
}
