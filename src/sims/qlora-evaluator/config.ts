import { readFileSync } from 'node:fs';

import { z } from 'zod';

import { TrainerFault } from '../qlora-trainer/events.js';

const configSchema = z.object({
  baseModel: z.string().min(1),
  heldOutDataset: z.string().min(1),
  result: z.string().min(1),
  adapters: z.array(z.object({ name: z.string(), path: z.string().nullable() })).min(1),
  simulation: z.object({ secondsPerSample: z.number().nonnegative() }),
});

export type SimulatedEvaluation = z.output<typeof configSchema>;

/** By a part of the adapter's path, usually its version: what its losses shall be. */
const wishesSchema = z.strictObject({
  better: z.array(z.string()).default([]),
  worse: z.array(z.string()).default([]),
  notANumber: z.array(z.string()).default([]),
  /** Instead of the configured time. */
  secondsPerSample: z.number().nonnegative().optional(),
});

export type Wishes = z.output<typeof wishesSchema>;

export function readConfig(path: string | undefined): SimulatedEvaluation {
  if (path === undefined) throw new TrainerFault('bad-config', 'expected the path of a configuration, found none');
  return parse(readFileSync(path, 'utf8'), configSchema, path);
}

/** Tests and demos wish for an outcome by the environment variable `TOWER_SIMULATED_EVALUATION`, a JSON object. */
export function readWishes(text: string | undefined): Wishes {
  return parse(text ?? '{}', wishesSchema, 'TOWER_SIMULATED_EVALUATION');
}

function parse<Schema extends z.ZodType>(text: string, schema: Schema, source: string): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new TrainerFault('bad-config', `${source}: ${(error as Error).message}`);
  }
}
