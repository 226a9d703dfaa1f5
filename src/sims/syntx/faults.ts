import { z } from 'zod';

/** What can go wrong with one call. */
export const faultSchema = z.discriminatedUnion('kind', [
  /** An error status with `{"detail": …}`, as the service or a proxy before it answers. */
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(300).max(599),
    detail: z.string().default('simulated fault'),
    headers: z.record(z.string(), z.string()).optional(),
  }),
  /** The connection is cut before anything is answered. */
  z.strictObject({ kind: z.literal('reset') }),
  /** The connection is cut, and for so long the service does not listen: connections are refused. */
  z.strictObject({ kind: z.literal('down'), forMs: z.int().positive() }),
  /** The model takes so much longer. */
  z.strictObject({ kind: z.literal('slow'), delayMs: z.int().positive() }),
  /** It never answers. */
  z.strictObject({ kind: z.literal('silence') }),
  /** The model answers this and nothing else; by default nothing. */
  z.strictObject({ kind: z.literal('text'), response: z.string().default('') }),
  /** The service says that it used these wrappers; `null`: it does not say. */
  z.strictObject({ kind: z.literal('chain'), chain: z.array(z.string()).nullable() }),
  /** Names the whole length, sends so many bytes and cuts the connection. */
  z.strictObject({ kind: z.literal('short-body'), bytes: z.int().nonnegative() }),
  /** Answers 200 with another body: a login page, or JSON of another kind. */
  z.strictObject({ kind: z.literal('replace'), body: z.string(), contentType: z.string().default('text/html') }),
]);

export type Fault = z.output<typeof faultSchema>;

/** The first `times` calls that fit get the fault. */
export const faultPlanSchema = z.array(
  z.strictObject({
    /** Wrapper without its prefix; default: any. */
    wrapper: z.string().optional(),
    path: z.string().optional(),
    /** Only calls whose prompt contains this. */
    containing: z.string().optional(),
    times: z.int().positive().default(1),
    fault: faultSchema,
  }),
);

export type FaultPlan = z.output<typeof faultPlanSchema>;

/** Defects of the real service (contract syntx 5.1, 5.2), each of which can be switched off and on. */
export const defectsSchema = z.strictObject({
  /** `POST /api/chat` sits on another function and wants query parameters; `/resonanz/chat` works. */
  misplacedRoute: z.boolean().default(true),
  /** An unknown wrapper is silently replaced by this one; `null`: it is none at all. */
  fallbackWrapper: z.string().nullable().default('syntex_wrapper_deepsweep'),
  /** The answer has `response` and the first three keys of `metadata` only, as in December 2025. */
  oldAnswer: z.boolean().default(false),
});

export type Defects = z.output<typeof defectsSchema>;

/** Faults in their order, each used up by the calls that get it. */
export class Faults {
  #left: { readonly rule: FaultPlan[number]; times: number }[] = [];

  constructor(plan: FaultPlan) {
    this.plan = plan;
  }

  get plan(): FaultPlan {
    return this.#left.flatMap(({ rule, times }) => (times > 0 ? [{ ...rule, times }] : []));
  }

  set plan(plan: FaultPlan) {
    this.#left = plan.map((rule) => ({ rule, times: rule.times }));
  }

  take(call: { readonly wrapper: string; readonly path: string; readonly prompt: string }): Fault | undefined {
    const found = this.#left.find(
      ({ rule, times }) =>
        times > 0 &&
        (rule.wrapper ?? call.wrapper) === call.wrapper &&
        (rule.path ?? call.path) === call.path &&
        call.prompt.includes(rule.containing ?? ''),
    );
    if (found === undefined) return undefined;
    found.times -= 1;
    return found.rule.fault;
  }
}
