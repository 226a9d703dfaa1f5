import { join } from 'node:path';

import type { Client } from '@temporalio/client';
import { z } from 'zod';

import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { DeclaredSchedule } from './declaration.js';
import { describeSchedule } from './plan-changes.js';

const mirrorSchema = z.record(z.string(), z.object({ paused: z.boolean(), note: z.string() }));

/** Pause and note of every schedule, by id. */
export type PauseMirror = z.output<typeof mirrorSchema>;

/**
 * Pauses outlive the Temporal database, which is disposable: `<state>/schedules.json` has a copy, from which a schedule
 * that has to be made anew takes its pause.
 */
export async function readPauseMirror(stateDirectory: string): Promise<PauseMirror> {
  return (await readJsonIfExists(mirrorFile(stateDirectory), mirrorSchema)) ?? {};
}

/** Copies pauses and notes from the server. What the server does not have keeps its last copy. */
export async function mirrorPauses(
  client: Client,
  declarations: readonly DeclaredSchedule[],
  stateDirectory: string,
): Promise<void> {
  const before = await readPauseMirror(stateDirectory);
  const after = { ...before };
  for (const { id } of declarations) {
    const state = (await describeSchedule(client, id))?.state;
    if (state !== undefined) after[id] = { paused: state.paused, note: state.note ?? '' };
  }
  if (JSON.stringify(after) !== JSON.stringify(before)) await writeJsonDurable(mirrorFile(stateDirectory), after);
}

function mirrorFile(stateDirectory: string): string {
  return join(stateDirectory, 'schedules.json');
}
