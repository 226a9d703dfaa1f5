import { mkdir, rm } from 'node:fs/promises';

import { z } from 'zod';

import { namesIn } from '../files/absent.js';
import { namingFullDisk } from '../files/disk-full.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { RunDirectory } from './run-directory.js';

/** Why a generation of a run may not be started any more. */
const stopReasonSchema = z.enum(['cancel', 'pause', 'reap']);
export type StopReason = z.output<typeof stopReasonSchema>;

const stopIntentSchema = z.object({ reason: stopReasonSchema, requestedAt: z.iso.datetime() });
export type StopIntent = z.output<typeof stopIntentSchema>;

/**
 * Whether the run goes on in its next generation: after a pause, and after a reaping, whose workflow was gone. A workflow
 * that takes the run over at that very moment is not to fail for it. Only a cancel is final for whoever asks.
 */
export function mayGoOn({ reason }: StopIntent): boolean {
  return reason !== 'cancel';
}

export async function readStopIntent(run: RunDirectory, generation: number): Promise<StopIntent | undefined> {
  return await readJsonIfExists(run.stopFile(generation), stopIntentSchema);
}

/** Forbids every further start in this generation; durable before it returns. An earlier intent is replaced. */
export async function writeStopIntent(run: RunDirectory, generation: number, reason: StopReason): Promise<void> {
  await namingFullDisk(run.stops, () => mkdir(run.stops, { recursive: true }));
  const intent: StopIntent = { reason, requestedAt: new Date().toISOString() };
  await writeJsonDurable(run.stopFile(generation), intent);
}

/** Takes an intent back, so that the generation may be started again. */
export async function withdrawStopIntent(run: RunDirectory, generation: number): Promise<void> {
  await rm(run.stopFile(generation), { force: true });
}

/** The generation in which a stopped run may go on: one above the highest that has a stop intent. */
export async function nextGeneration(run: RunDirectory): Promise<number> {
  const generations = (await namesIn(run.stops))
    .map((name) => /^(\d+)\.json$/.exec(name)?.[1])
    .filter((text) => text !== undefined);
  return Math.max(-1, ...generations.map(Number)) + 1;
}
