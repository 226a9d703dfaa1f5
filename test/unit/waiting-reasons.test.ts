import type { Client } from '@temporalio/client';
import { ApplicationFailure, defaultFailureConverter, defaultPayloadConverter } from '@temporalio/common';
import { expect, it } from 'vitest';

import { createCharacterTowerActivities } from '../../src/activities/character/tower.js';

/** A pending activity between two attempts, as the server describes it. */
function failed(activity: string, code: string, next: string | null) {
  const failure = ApplicationFailure.create({ message: 'it failed', type: code, details: [{ next }] });
  const lastFailure = defaultFailureConverter.errorToFailure(failure, defaultPayloadConverter);
  return { activityType: { name: activity }, state: 1, lastFailure };
}

/** A server that describes every workflow so; what it answers for real is tested with whole runs (`test/faults`). */
function serverWith(pendingActivities: readonly object[]): Client {
  const getHandle = () => ({ describe: () => Promise.resolve({ raw: { pendingActivities } }) });
  const loadedDataConverter = {
    payloadConverter: defaultPayloadConverter,
    failureConverter: defaultFailureConverter,
    payloadCodecs: [],
  };
  return { workflow: { getHandle }, options: { loadedDataConverter } } as unknown as Client;
}

it('what a stage waited for is never the question itself, asked a second time', async () => {
  const client = serverWith([
    failed('waitingReasons', 'UNAVAILABLE', null),
    failed('trainCharacter', 'DISK_FULL', 'Free disk space.'),
  ]);
  const tower = createCharacterTowerActivities({ client });
  const reason = { activity: 'trainCharacter', code: 'DISK_FULL', message: 'it failed', next: 'Free disk space.' };
  await expect(tower.waitingReasons({ workflowId: 'character-lora/elara/1' })).resolves.toEqual([
    { ...reason, waits: true },
  ]);
});
