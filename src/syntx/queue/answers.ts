import { syncDirectory } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import { sha256Of } from '../../files/sha256.js';
import { z } from 'zod';

import type { LeaseReference } from './leases.js';
import type { QueueStore } from './queue-store.js';
import { writeStaged } from './staged-write.js';

const answerSchema = z.object({
  version: z.literal(1),
  /** Name of the wrapper that was asked, and SHA-256 of the prompt: to what this is the answer. */
  wrapper: z.string(),
  promptSha256: z.string(),
  response: z.string(),
  /** The whole call with its waiting, in milliseconds. */
  durationMs: z.number(),
  attempts: z.int(),
  /** The service said that no model answered. */
  simulated: z.boolean().optional(),
  /** ISO 8601 UTC. */
  receivedAt: z.string(),
});

/** A raw answer of the wrapper service, kept until its job is settled. */
export type StoredAnswer = Omit<z.output<typeof answerSchema>, 'version' | 'promptSha256' | 'receivedAt'>;

interface Question {
  readonly wrapper: string;
  readonly prompt: string;
}

/** Stores an answer durably before anything is done with it, so that no retry repeats the call. @throws `LEASE_LOST` */
export async function storeAnswer(
  store: QueueStore,
  reference: LeaseReference,
  prompt: string,
  answer: StoredAnswer,
): Promise<void> {
  await store.change(async () => {
    await store.leases.require(reference);
    const record = { version: 1, promptSha256: sha256Of(prompt), ...answer, receivedAt: store.now().toISOString() };
    await writeStaged(store.paths.staging, store.paths.answer(reference.baseName), JSON.stringify(record, null, 2));
    await syncDirectory(store.paths.answers);
  });
}

/** The stored answer to this very question, also of an earlier claim of the job. */
export async function findAnswer(
  store: QueueStore,
  baseName: string,
  { wrapper, prompt }: Question,
): Promise<StoredAnswer | undefined> {
  const answer = await store.look(() => readJsonIfExists(store.paths.answer(baseName), answerSchema));
  return answer?.wrapper === wrapper && answer.promptSha256 === sha256Of(prompt) ? answer : undefined;
}
