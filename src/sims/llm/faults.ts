import { z } from 'zod';

/** What can go wrong with one completion. */
export const faultSchema = z.discriminatedUnion('kind', [
  /** The model refuses: it says so, or only its finish reason does. */
  z.object({ kind: z.literal('refusal'), by: z.enum(['text', 'content-filter', 'field']).default('text') }),
  /** 429, as OpenAI words it; `quota`: the account has nothing left. */
  z.object({
    kind: z.literal('rate-limit'),
    retryAfterSeconds: z.number().optional(),
    quota: z.boolean().default(false),
  }),
  z.object({
    kind: z.literal('status'),
    status: z.int().min(400).max(599),
    message: z.string().default('simulated fault'),
  }),
  /** Answers after a pause. */
  z.object({ kind: z.literal('slow'), milliseconds: z.int().positive() }),
  /** Cuts the connection: before the answer, or inside its body. */
  z.object({ kind: z.literal('cut'), when: z.enum(['before-answer', 'in-body']) }),
  /** Never answers. */
  z.object({ kind: z.literal('silence') }),
  /** Sends headers, and never the whole body. */
  z.object({ kind: z.literal('half-body') }),
  /** Answers with the text of the completion before. */
  z.object({ kind: z.literal('repeat') }),
  /** Answers without a text. */
  z.object({ kind: z.literal('empty'), content: z.literal(['', null]).default(null) }),
  /** Answers 200 with something else. */
  z.object({ kind: z.literal('replace'), body: z.string(), contentType: z.string().default('text/html') }),
]);

export type LlmFault = z.output<typeof faultSchema>;

/** One line of a fault plan: requests whose message has `containing` get the fault, `times` of them, after the first `after`. */
const faultRuleSchema = z.object({
  containing: z.string().default(''),
  after: z.int().nonnegative().default(0),
  times: z.int().positive().default(1),
  fault: faultSchema,
});

/** A fault plan, as `tower sim llm --faults` reads it. */
export const llmFaultPlanSchema = z.array(faultRuleSchema);
export type LlmFaultRule = z.input<typeof faultRuleSchema>;

/** Chooses the fault of a message; `undefined` for none. */
export type LlmFaults = (message: string) => LlmFault | undefined;

export function llmFaultsFromRules(rules: readonly LlmFaultRule[]): LlmFaults {
  const left = rules.map((rule) => faultRuleSchema.parse(rule));
  return (message) => {
    for (const rule of left) {
      if (rule.times === 0 || !message.includes(rule.containing)) continue;
      if (rule.after > 0) {
        rule.after -= 1;
        continue;
      }
      rule.times -= 1;
      return rule.fault;
    }
    return undefined;
  };
}
