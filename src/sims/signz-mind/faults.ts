import { z } from 'zod';

/**
 * What can go wrong with one request. `status`, `replace` and a `reset` before acting keep the server from doing anything;
 * the others come after it has acted.
 */
export const faultSchema = z.discriminatedUnion('kind', [
  /** Answers with an error status and a `detail`. */
  z.object({
    kind: z.literal('status'),
    status: z.int().min(300).max(599),
    headers: z.record(z.string(), z.string()).optional(),
  }),
  /** Answers 200 with another body, for example a login page. */
  z.object({ kind: z.literal('replace'), body: z.string(), contentType: z.string().default('text/html') }),
  /** Cuts the connection. */
  z.object({ kind: z.literal('reset'), when: z.enum(['before-acting', 'after-acting']) }),
  /** Acts and never answers. */
  z.object({ kind: z.literal('silence') }),
  /** Encodes the body, as proxies do when the request allows it. */
  z.object({ kind: z.literal('gzip') }),
  /** Names the whole length, sends so many bytes and cuts the connection. */
  z.object({ kind: z.literal('short-body'), bytes: z.int().nonnegative() }),
  /** Names a length that is off by so many bytes: above 0 it waits for bytes that never come, below 0 the rest is cut. */
  z.object({ kind: z.literal('wrong-length'), by: z.int() }),
  /** Sends its body in pieces of so many bytes, with a pause after each. */
  z.object({ kind: z.literal('slow'), bytes: z.int().positive(), pauseMs: z.int().positive() }),
  /** Acts and sends a body without length that has no end, with this status instead of its own. */
  z.object({ kind: z.literal('endless-body'), status: z.int().min(200).max(599).optional() }),
  /** Acts and answers 204 without a body. */
  z.object({ kind: z.literal('empty-answer') }),
  /** Acts and answers 200 with a text that is not JSON. */
  z.object({
    kind: z.literal('text-answer'),
    body: z.string().default('ok'),
    contentType: z.string().default('text/plain'),
  }),
]);

export type Fault = z.output<typeof faultSchema>;

interface FaultedRequest {
  readonly method: string;
  readonly route: string;
  readonly name: string | null;
  /** How many requests to this route and name came before. */
  readonly earlier: number;
}

/** Chooses the fault of a request; `undefined` for none. */
export type Faults = (request: FaultedRequest) => Fault | undefined;

/** One line of a fault plan: the first `times` requests that fit get the fault. */
const faultRuleSchema = z.object({
  route: z.string(),
  name: z.string().optional(),
  times: z.int().positive().default(1),
  fault: faultSchema,
});

export type FaultRule = z.output<typeof faultRuleSchema>;

/** A fault plan, as `tower sim signz --faults` reads it. */
export const faultPlanSchema = z.array(faultRuleSchema);

export function faultsFromRules(rules: readonly FaultRule[]): Faults {
  const left = rules.map((rule) => ({ ...rule }));
  return ({ route, name }) => {
    const rule = left.find(
      (candidate) => candidate.times > 0 && candidate.route === route && (candidate.name ?? name) === name,
    );
    if (rule === undefined) return undefined;
    rule.times -= 1;
    return rule.fault;
  };
}
