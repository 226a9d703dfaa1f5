import { z } from 'zod';

import { faultClassSchema } from './fault-class.js';

/**
 * What any trainer reports while it runs, one event at a time. Each driver turns its trainer's own lines into these: the
 * QLoRA trainer writes them as JSON lines, kohya's progress lines are parsed.
 *
 * Units: `step` and `totalSteps` count optimiser steps from 1, times are seconds, `time` is ISO 8601 UTC.
 */
export const trainerEventSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('start'),
    time: z.iso.datetime(),
    /** The trainer goes on after this optimiser step; 0 for a fresh start. */
    resumedFromStep: z.int().nonnegative(),
    totalSteps: z.int().positive(),
    simulated: z.boolean(),
    /** Further facts of the trainer: device, quantisation, sample counts, library versions. */
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).default({}),
  }),
  z.object({
    event: z.literal('step'),
    time: z.iso.datetime(),
    step: z.int().positive(),
    totalSteps: z.int().positive(),
    epoch: z.number().nonnegative(),
    /** Left out where a step has no loss of its own, as in evaluations. */
    loss: z.number().optional(),
    learningRate: z.number().optional(),
    tokensPerSecond: z.number().optional(),
    stepsPerSecond: z.number().optional(),
    etaSeconds: z.number().optional(),
  }),
  z.object({
    event: z.literal('eval'),
    time: z.iso.datetime(),
    step: z.int().nonnegative(),
    /** Mean over the held-out samples, of the trainer's own measure: for language models the loss per token. */
    loss: z.number(),
    samples: z.int().positive(),
  }),
  z.object({
    event: z.literal('checkpoint'),
    time: z.iso.datetime(),
    step: z.int().nonnegative(),
    /** Folder name, relative to the run's output folder. */
    path: z.string(),
    /** Left out where the trainer does not say. */
    bytes: z.int().nonnegative().optional(),
    seconds: z.number().nonnegative().optional(),
  }),
  z.object({
    event: z.literal('done'),
    time: z.iso.datetime(),
    step: z.int().positive(),
    trainLoss: z.number(),
    heldOutLoss: z.number().optional(),
  }),
  /** The trainer was asked to pause and has saved a complete state. */
  z.object({ event: z.literal('stopped'), time: z.iso.datetime(), step: z.int().nonnegative(), path: z.string() }),
  z.object({
    event: z.literal('error'),
    time: z.iso.datetime(),
    class: faultClassSchema,
    message: z.string(),
    next: z.string().optional(),
  }),
]);

export type TrainerEvent = z.output<typeof trainerEventSchema>;
export type StepEvent = Extract<TrainerEvent, { event: 'step' }>;
