import { z } from 'zod';

/** Fields are taken as they come: a heartbeat of another version must never break what shows it. */
const lenient = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().catch(undefined);

/** The heartbeats there are: of trainings, of ingests (batches), of uploads (bytes), of renderings (images), of producers (prompts). */
const heartbeatSchema = z.object({
  stage: lenient(z.string()),
  step: lenient(z.number().nonnegative()),
  totalSteps: lenient(z.number().positive()),
  epoch: lenient(z.number()),
  loss: lenient(z.number()),
  tokensPerSecond: lenient(z.number()),
  stepsPerSecond: lenient(z.number()),
  etaSeconds: lenient(z.number().nonnegative()),
  adopted: lenient(z.boolean()),
  simulated: lenient(z.boolean()),
  batch: lenient(z.string()),
  done: lenient(z.number().nonnegative()),
  total: lenient(z.number().positive()),
  sentBytes: lenient(z.number().nonnegative()),
  totalBytes: lenient(z.number().positive()),
  accepted: lenient(z.number().nonnegative()),
  planned: lenient(z.number().positive()),
  rejected: lenient(z.number().nonnegative()),
  image: lenient(z.string()),
  prompts: lenient(z.number().nonnegative()),
  secondsPerImage: lenient(z.number()),
  waitsFor: lenient(z.object({ code: z.string(), message: z.string() })),
});

/** What an activity's heartbeat says of its progress, whichever activity it is. */
export interface ActivityProgress {
  readonly stage: string | null;
  readonly done: number | null;
  readonly total: number | null;
  readonly unit: 'steps' | 'batches' | 'bytes' | 'images' | 'prompts' | null;
  /** Images that were refused so far. */
  readonly rejected: number | null;
  readonly loss: number | null;
  readonly epoch: number | null;
  readonly tokensPerSecond: number | null;
  readonly stepsPerSecond: number | null;
  readonly secondsPerImage: number | null;
  readonly etaSeconds: number | null;
  /** The batch or image being worked on. */
  readonly item: string | null;
  /** What has to happen before it goes on. */
  readonly waitsFor: { readonly code: string; readonly message: string } | null;
  /** The process was found running by this attempt, not started by it. */
  readonly adopted: boolean;
  readonly simulated: boolean;
}

/** Reads heartbeat details; `null` when they say nothing that is known. */
export function progressOf(details: unknown): ActivityProgress | null {
  const parsed = heartbeatSchema.safeParse(details);
  if (!parsed.success || Object.values(parsed.data).every((value) => value == null)) return null;
  const beat = parsed.data;
  return {
    stage: beat.stage ?? null,
    ...amountOf(beat),
    rejected: beat.rejected ?? null,
    loss: beat.loss ?? null,
    epoch: beat.epoch ?? null,
    tokensPerSecond: beat.tokensPerSecond ?? null,
    stepsPerSecond: beat.stepsPerSecond ?? null,
    secondsPerImage: beat.secondsPerImage ?? null,
    etaSeconds: beat.etaSeconds ?? null,
    item: beat.batch ?? beat.image ?? null,
    waitsFor: beat.waitsFor ?? null,
    adopted: beat.adopted ?? false,
    simulated: beat.simulated ?? false,
  };
}

function amountOf(beat: z.output<typeof heartbeatSchema>): Pick<ActivityProgress, 'done' | 'total' | 'unit'> {
  if (beat.accepted != null) return { done: beat.accepted, total: beat.planned ?? null, unit: 'images' };
  if (beat.prompts != null) return { done: beat.prompts, total: beat.planned ?? null, unit: 'prompts' };
  if (beat.step != null) return { done: beat.step, total: beat.totalSteps ?? null, unit: 'steps' };
  if (beat.done != null) return { done: beat.done, total: beat.total ?? null, unit: 'batches' };
  if (beat.sentBytes != null) return { done: beat.sentBytes, total: beat.totalBytes ?? null, unit: 'bytes' };
  return { done: null, total: null, unit: null };
}
