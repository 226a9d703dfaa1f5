import { z } from 'zod';

/*
 * What ComfyUI answers with (contracts/comfyui.md), as loose schemas: versions and custom nodes add keys, and only those
 * that Tower reads are required.
 */

/** One stored image of an output node (section 4). */
export const outputFileSchema = z.object({
  filename: z.string().min(1),
  subfolder: z.string().default(''),
  type: z.enum(['output', 'temp', 'input']).default('output'),
});
export type OutputFile = z.output<typeof outputFileSchema>;

/** What an output node reports; custom nodes put anything beside, or instead of, `images`. */
export const nodeOutputSchema = z.looseObject({ images: z.array(outputFileSchema).optional().catch(undefined) });

/** Node id → what that node has put out. */
export const outputsSchema = z.record(z.string(), nodeOutputSchema.catch({}));
export type NodeOutputs = z.output<typeof outputsSchema>;

const statusMessageSchema = z.tuple([z.string(), z.looseObject({})]).rest(z.unknown());

const executionStatusSchema = z.object({
  status_str: z.string(),
  completed: z.boolean(),
  messages: z.array(statusMessageSchema).default([]),
});

/** A job of `GET /history` (section 4), without its graph. */
export const finishedPromptSchema = z.object({
  outputs: outputsSchema.default({}),
  status: executionStatusSchema.nullish(),
});
export type FinishedPrompt = z.output<typeof finishedPromptSchema>;

export const historySchema = z.record(z.string(), finishedPromptSchema);

/** The same when only the ids are of interest: what others have rendered may be of any form. */
export const historyIdsSchema = z.record(z.string(), z.unknown()).transform((prompts) => Object.keys(prompts));

const queueEntrySchema = z
  .tuple([
    // Anybody may submit with any number, also with NaN.
    z.number().catch(Number.MAX_VALUE),
    z.string(),
    z.unknown(),
    z.looseObject({ extra_pnginfo: z.unknown() }).partial().catch({}),
  ])
  .rest(z.unknown())
  .transform(([number, promptId, , extra]) => ({ number, promptId, pngInfo: extra.extra_pnginfo }));

/** An entry of `GET /queue` (section 3). */
export type QueuedPrompt = z.output<typeof queueEntrySchema>;

const byNumber = (one: QueuedPrompt, other: QueuedPrompt) => one.number - other.number;

/** `GET /queue`, in the order in which the prompts run. */
export const queueSchema = z
  .object({ queue_running: z.array(queueEntrySchema), queue_pending: z.array(queueEntrySchema) })
  .transform(({ queue_running: running, queue_pending: pending }) => ({
    running,
    // The server shows its heap, not its order.
    pending: pending.toSorted(byNumber),
  }));
export type PromptQueue = z.output<typeof queueSchema>;

/** One prompt of the jobs API (section 5); from 0.6.0. */
export const jobSchema = z.looseObject({
  id: z.string(),
  /** `pending`, `in_progress`; every other one has ended, and `execution_status` says how. */
  status: z.string(),
  outputs: outputsSchema.optional(),
  execution_status: executionStatusSchema.nullish(),
});
export type Job = z.output<typeof jobSchema>;

const nodeErrorSchema = z.looseObject({
  class_type: z.string().optional(),
  errors: z
    .array(
      z.looseObject({
        type: z.string(),
        message: z.string().default(''),
        details: z.string().default(''),
        extra_info: z.unknown(),
      }),
    )
    .default([]),
});
/** Node id → why the server would not run it (section 2.3). */
export const nodeErrorsSchema = z.record(z.string(), nodeErrorSchema);
export type NodeErrors = z.output<typeof nodeErrorsSchema>;

/** 200 of `POST /prompt` (section 2.2). */
export const acceptedSchema = z.object({
  prompt_id: z.string(),
  number: z.number(),
  // Python clients of old servers saw a list here when nothing was wrong.
  node_errors: z.union([nodeErrorsSchema, z.array(z.never()).transform((): NodeErrors => ({}))]).default({}),
});

/** 400 of `POST /prompt` (section 2.3). */
export const rejectionSchema = z.object({
  error: z.union([
    z.looseObject({ type: z.string(), message: z.string().default(''), details: z.string().default('') }),
    z.string().transform((message) => ({ type: 'unknown', message, details: '' })),
  ]),
  node_errors: z.union([nodeErrorsSchema, z.array(z.unknown()).transform((): NodeErrors => ({}))]).default({}),
});

/** `GET /system_stats` (section 10); memory in bytes. */
export const systemStatsSchema = z.looseObject({
  system: z.looseObject({ comfyui_version: z.string().default('unknown'), os: z.string().default('unknown') }),
  devices: z
    .array(
      z.looseObject({
        name: z.string(),
        type: z.string(),
        vram_total: z.number().nullish(),
        vram_free: z.number().nullish(),
      }),
    )
    .default([]),
});
export type SystemStats = z.output<typeof systemStatsSchema>;

const inputDeclarationSchema = z.array(z.unknown()).min(1);
const inputGroupSchema = z.record(z.string(), inputDeclarationSchema).nullish();

/** A class of `GET /object_info/<class>` (section 10). */
export const nodeDeclarationSchema = z.looseObject({
  input: z.looseObject({ required: inputGroupSchema, optional: inputGroupSchema }).default({}),
  output_node: z.boolean().default(false),
});
export type NodeDeclaration = z.output<typeof nodeDeclarationSchema>;
