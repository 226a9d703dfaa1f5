import { z } from 'zod';

/** What can go wrong with one HTTP request. `status`, `replace` and a `reset` before acting keep the server from acting. */
const requestFaultSchema = z.discriminatedUnion('kind', [
  /** Answers with this status and a text. */
  z.object({
    kind: z.literal('status'),
    status: z.int().min(300).max(599),
    body: z.string().default('simulated fault'),
  }),
  /** Answers 200 with another body, for example a proxy's page. */
  z.object({ kind: z.literal('replace'), body: z.string(), contentType: z.string().default('text/html') }),
  /** Cuts the connection. */
  z.object({ kind: z.literal('reset'), when: z.enum(['before-acting', 'after-acting']) }),
  /** Acts and never answers. */
  z.object({ kind: z.literal('silence') }),
  /** Names the whole length, sends so many bytes and cuts the connection. */
  z.object({ kind: z.literal('short-body'), bytes: z.int().nonnegative() }),
  /** Acts, and answers so much later. */
  z.object({ kind: z.literal('slow'), delayMs: z.int().positive() }),
  /** `POST /prompt` only: answers when the prompt has ended, so that its events come first. */
  z.object({ kind: z.literal('answer-after-end') }),
]);

const outputFaultSchema = z.enum(['missing', 'truncated', 'corrupt', 'blank', 'wrong-size', 'near-duplicate']);
export type OutputFault = z.output<typeof outputFaultSchema>;

const momentSchema = z.enum(['at-start', 'in-step', 'before-save', 'after-save', 'after-history']);
/** A moment in the life of a running prompt. `after-history`: done, but its last events are not sent. */
export type Moment = z.output<typeof momentSchema>;

/** What can go wrong with one prompt. */
const promptFaultSchema = z.discriminatedUnion('kind', [
  /** Ends with `execution_error` at the sampler. */
  z.object({
    kind: z.literal('error'),
    exceptionType: z.string().default('RuntimeError'),
    message: z.string().default('simulated failure'),
  }),
  z.object({ kind: z.literal('out-of-memory') }),
  /** Somebody else interrupts it. */
  z.object({ kind: z.literal('interrupted') }),
  /** Somebody else deletes it while it waits: it leaves no trace. Needs a prompt that has to wait. */
  z.object({ kind: z.literal('deleted') }),
  z.object({ kind: z.literal('output'), output: outputFaultSchema }),
  /** Done, but the history and the jobs say for so many look-ups that they do not know it. */
  z.object({ kind: z.literal('history-hidden'), lookups: z.int().positive().default(Number.MAX_SAFE_INTEGER) }),
  /** Rendered without any event. */
  z.object({ kind: z.literal('unseen') }),
  /** Never ends: no step, no event; the server answers. */
  z.object({ kind: z.literal('stuck') }),
  /** Takes so long instead of the server's render time. */
  z.object({ kind: z.literal('slow'), renderMs: z.number().nonnegative() }),
  /** The server forgets everything and is away for so long. */
  z.object({ kind: z.literal('restart'), when: momentSchema, downMs: z.number().nonnegative().default(0) }),
  /** The process of the server ends as by `kill -9`. */
  z.object({ kind: z.literal('kill'), when: momentSchema }),
]);

export type RequestFault = z.output<typeof requestFaultSchema>;
export type PromptFault = z.output<typeof promptFaultSchema>;

const requestRuleSchema = z.strictObject({
  /** Method and pattern, for example `GET /history/{prompt_id}`. */
  route: z.string(),
  /** Only requests whose address contains this text. */
  match: z.string().optional(),
  /** So many requests that fit pass first. */
  after: z.int().nonnegative().default(0),
  times: z.int().positive().default(1),
  fault: requestFaultSchema,
});

const promptRuleSchema = z.strictObject({
  prompt: z.strictObject({
    /** Only prompts whose id or graph (as JSON) contains this text. */
    match: z.string().optional(),
    /** So many prompts that fit pass first. */
    after: z.int().nonnegative().default(0),
  }),
  times: z.int().positive().default(1),
  fault: promptFaultSchema,
});

type Rule = z.output<typeof requestRuleSchema> | z.output<typeof promptRuleSchema>;

/** One line of a fault plan: it names a route or a prompt. */
export type FaultRule = z.input<typeof requestRuleSchema> | z.input<typeof promptRuleSchema>;

/** A union would only say that neither fits. */
const ruleSchema = z.unknown().transform((rule, context): Rule => {
  const isPromptRule = typeof rule === 'object' && rule !== null && 'prompt' in rule;
  const parsed = (isPromptRule ? promptRuleSchema : requestRuleSchema).safeParse(rule);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) {
    context.issues.push({ code: 'custom', input: rule, path, message });
  }
  return z.NEVER;
});

/** A fault plan, as `tower sim comfyui --faults` and `POST /sim/faults` read it: a list of {@link FaultRule}. */
export const faultPlanSchema = z.array(ruleSchema);

interface Counted<Rule> {
  readonly rule: Rule;
  after: number;
  times: number;
}

/** The faults that are still to happen. */
export class Faults {
  #requests: Counted<z.output<typeof requestRuleSchema>>[] = [];
  #prompts: Counted<z.output<typeof promptRuleSchema>>[] = [];
  readonly #canBeKilled: boolean;

  constructor(canBeKilled: boolean) {
    this.#canBeKilled = canBeKilled;
  }

  /** @throws ZodError; Error for a `kill` of a server that is no process of its own */
  add(plan: readonly FaultRule[]): void {
    for (const rule of faultPlanSchema.parse(plan)) {
      if (rule.fault.kind === 'kill' && !this.#canBeKilled) {
        throw new Error('kill: this server is no process of its own');
      }
      if ('route' in rule) this.#requests.push({ rule, after: rule.after, times: rule.times });
      else this.#prompts.push({ rule, after: rule.prompt.after, times: rule.times });
    }
  }

  clear(): void {
    this.#requests = [];
    this.#prompts = [];
  }

  ofRequest(route: string, address: string): RequestFault | undefined {
    const fits = (rule: z.output<typeof requestRuleSchema>) =>
      rule.route === route && address.includes(rule.match ?? '');
    return take(this.#requests, fits)?.fault;
  }

  /** Asked once for each accepted prompt. */
  ofPrompt(id: string, graph: string): PromptFault | undefined {
    const fits = ({ prompt: { match = '' } }: z.output<typeof promptRuleSchema>) =>
      id.includes(match) || graph.includes(match);
    return take(this.#prompts, fits)?.fault;
  }
}

/** The first rule that fits and is due; every rule that fits counts the request. */
function take<Rule>(rules: Counted<Rule>[], fits: (rule: Rule) => boolean): Rule | undefined {
  let taken: Rule | undefined;
  for (const counted of rules) {
    if (counted.times === 0 || !fits(counted.rule)) continue;
    if (counted.after > 0) counted.after -= 1;
    else if (taken === undefined) {
      counted.times -= 1;
      taken = counted.rule;
    }
  }
  return taken;
}
