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

/** One line of `images.jsonl`. `at` is ISO 8601 UTC; file names are relative to the dataset's folder. */
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
  z.object({
    event: z.literal('captioned'),
    at: z.iso.datetime(),
    /** File name of the image. */
    image: z.string(),
    /** Of the caption's text. */
    sha256,
  }),
]);
