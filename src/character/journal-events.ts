import { z } from 'zod';

const index = z.int().min(1);
const attempt = z.int().min(0);
const seed = z.int().min(1);
const promptId = z.string().nullable();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Why an image is not in the dataset. */
export const rejectCodes = [
  'undecodable',
  'wrong-size',
  'blank',
  'near-duplicate',
  /** ComfyUI could not make it. */
  'failed',
  /** A person did not want it. */
  'person',
] as const;

/** One line of a run's `images.jsonl`. `at` is ISO 8601 UTC; file names are relative to the dataset's folder. */
export const journalEventSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('accepted'),
    at: z.iso.datetime(),
    index,
    attempt,
    seed,
    promptId,
    file: z.string(),
    bytes: z.int(),
    sha256,
    width: z.int(),
    height: z.int(),
    /** 64 bits as 16 hex digits. */
    perceptualHash: z.string().regex(/^[0-9a-f]{16}$/),
  }),
  z.object({
    event: z.literal('rejected'),
    at: z.iso.datetime(),
    index,
    attempt,
    seed,
    promptId,
    code: z.enum(rejectCodes),
    reason: z.string(),
    /** Where the rejected image lies; `null` when there is none. */
    file: z.string().nullable(),
    /** Whether it is to be rendered again. */
    again: z.boolean(),
  }),
  /** Something went wrong in ComfyUI, and was put right. */
  z.object({
    event: z.literal('recovered'),
    at: z.iso.datetime(),
    /** `RecoveryKind` of the renderer. */
    kind: z.string(),
    /** `<index>-<attempt>`; `null` when it was about no single image. */
    image: z.string().nullable(),
    detail: z.string(),
  }),
]);

const eventNames: ReadonlySet<unknown> = new Set(journalEventSchema.options.map(({ shape }) => shape.event.value));

/** Written by a newer Tower, which a worker of this one may share the run with, or by an older one, which kept captions here too. */
export function isOfOtherVersion(content: unknown): boolean {
  const { event } = (content ?? {}) as { readonly event?: unknown };
  return typeof event === 'string' && !eventNames.has(event);
}
