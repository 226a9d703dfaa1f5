import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { patienceMs } from '../../src/syntx/generation/time-limits.js';
import { failure } from '../support/server-faults.js';
import { LlmWorld, plan } from '../support/llm-world.js';

let world: LlmWorld;
beforeEach(async () => {
  world = await LlmWorld.create();
});
afterEach(() => world.server.close());

it('sends one user message with the configured model and parameters', async () => {
  const parameters = { temperature: 0.1, top_p: 0.5, max_completion_tokens: 77 };
  await world.generate(plan('Brettspiele'), { model: 'small', parameters });
  expect(world.server.requests).toMatchObject([{ model: 'small', parameters: { ...parameters, stream: false } }]);
  expect(world.server.requests[0]!.message).toBe('Formuliere locker und leicht verständlich: Brettspiele');
  expect(world.made[0]).toMatchObject({
    promptSent: 'Brettspiele',
    model: 'small',
    servedBy: 'simulated-small',
    simulated: true,
  });
  expect(world.made[0]!.text).toContain('Brettspiele');
});

it('tells the model what was learned, unless the feedback is weak', async () => {
  const learnedFrom = {
    ...{ sampleCount: 5, averageScore: 97.5, averageFieldCompleteness: 99 },
    ...{ topCategories: ['bildung', 'harmlos'], topStyles: ['casual'] },
  };
  await world.generate(plan('Robotik'), {}, { learnedFrom });
  await world.generate(plan('Robotik'), { feedbackStrength: 0.4 }, { learnedFrom });
  const [strong, weak] = world.server.requests.map(({ message }) => message);
  for (const part of ['97.5', '99 %', 'bildung, harmlos', '„Robotik“', 'Stil „casual“', '95 %'])
    expect(strong).toContain(part);
  expect(weak!.split('\n')).toHaveLength(1);
  expect(weak).toContain('„Robotik“');
});

describe('a refusal', () => {
  it.each(['text', 'content-filter', 'field'] as const)(
    'by %s is asked again with other wording, and paid',
    async (by) => {
      world.faults({ fault: { kind: 'refusal', by }, times: 2 });
      const { paid } = await world.generate(plan('Yoga'));
      expect(world.made).toMatchObject([{ refusals: 2, retries: 0 }]);
      const messages = world.server.requests.map(({ message }) => message);
      expect(messages[1]).toMatch(/Yoga\n\n\(Versuch 2: .*\)$/);
      expect(messages[2]).toMatch(/\(Versuch 3: .*\)$/);
      expect(world.calls.map(({ line, cost }) => [line['success'], cost !== null])).toEqual([
        [false, true],
        [false, true],
        [true, true],
      ]);
      expect(world.calls[0]!.line).toMatchObject({ refusal_attempts: 1, prompt_in: messages[0] });
      expect(paid).toBeCloseTo(
        world.calls.reduce((sum, { cost }) => sum + cost!.total_cost, 0),
        9,
      );
    },
  );

  it('after four calls ends the prompt, not the run', async () => {
    world.faults({ containing: 'Waffen', fault: { kind: 'refusal', by: 'text' }, times: 9 });
    const summary = await world.generate(plan('Waffen', 'Yoga'));
    expect(summary).toMatchObject({ made: [1], stopped: null });
    expect(summary.failed).toMatchObject([{ index: 0, failure: 'refused', error: 'Content refused after 4 attempts' }]);
    expect(world.server.requests.filter(({ message }) => message.includes('Waffen'))).toHaveLength(4);
  });

  it('by every topic is an error that says so', async () => {
    world.faults({ fault: { kind: 'refusal', by: 'text' }, times: 99 });
    expect(await failure(world.generate(plan('a', 'b')))).toMatchObject({ code: 'PROMPTS_REFUSED', retryable: false });
  });
});

describe('the rate limit and the connection', () => {
  it.each([
    [{ kind: 'rate-limit' }],
    [{ kind: 'cut', when: 'before-answer' }],
    [{ kind: 'cut', when: 'in-body' }],
  ] as const)('%j: asked again up to three times', async (fault) => {
    world.faults({ fault, times: 3 });
    await world.generate(plan('Yoga'));
    expect(world.made).toMatchObject([{ retries: 3 }]);
    expect(new Set(world.server.requests.map(({ message }) => message)).size).toBe(1);
  });

  it.each([
    [{ kind: 'rate-limit' }, 'LLM_RATE_LIMITED', /^Rate limit: 429/],
    [{ kind: 'cut', when: 'before-answer' }, 'LLM_UNREACHABLE', /^Connection error: /],
  ] as const)('%j: the fourth failure ends the prompt', async (fault, code, wording) => {
    world.faults({ fault, times: 4 });
    expect(await failure(world.generate(plan('Yoga')))).toMatchObject({ code, retryable: true });
    expect(world.server.requests).toHaveLength(4);
    expect(world.calls.map(({ line, cost }) => [line['error'], cost])).toEqual([
      [expect.stringMatching(wording), null],
    ]);
  });

  it.each([[{ kind: 'silence' }], [{ kind: 'half-body' }], [{ kind: 'slow', milliseconds: 60_000 }]] as const)(
    '%j: the time limit covers the whole answer',
    async (fault) => {
      world.faults({ fault });
      await world.generate(plan('Yoga'), { timeoutSeconds: 1 });
      expect(world.made[0]!.retries).toBeGreaterThanOrEqual(1);
    },
  );

  it('a call that takes too long names the limit and its key', async () => {
    world.faults({ fault: { kind: 'silence' }, times: 9 });
    expect(await failure(world.generate(plan('Yoga'), { timeoutSeconds: 0.2 }))).toMatchObject({
      code: 'LLM_UNREACHABLE',
      message: expect.stringContaining('no whole answer within 0.2 s (syntx.generation.timeoutSeconds)') as string,
    });
  });

  it('no other limit comes before it: neither of Node’s fetch (5 minutes) nor of the client library (10)', async () => {
    const limits = shortOtherLimits();
    try {
      world.faults({ fault: { kind: 'slow', milliseconds: 3000 } });
      await world.generate(plan('Yoga'), { timeoutSeconds: 60 });
    } finally {
      limits.restore();
    }
    expect(world.made).toMatchObject([{ retries: 0 }]);
    expect(world.server.requests).toHaveLength(1);
  });
});

describe('what is not asked again', () => {
  it.each([
    [{ kind: 'status', status: 500 }, 'LLM_FAILED', true],
    [{ kind: 'status', status: 401 }, 'LLM_KEY_REJECTED', false],
    [{ kind: 'status', status: 404 }, 'LLM_MODEL_UNKNOWN', false],
    [{ kind: 'status', status: 400 }, 'LLM_ANSWER_INVALID', false],
    [{ kind: 'replace', body: '<html>login</html>' }, 'LLM_ANSWER_INVALID', false],
    [{ kind: 'replace', body: '{"choices":[]}', contentType: 'application/json' }, 'LLM_ANSWER_INVALID', false],
    [{ kind: 'empty' }, 'LLM_ANSWER_INVALID', false],
  ] as const)('%j', async (fault, code, retryable) => {
    world.faults({ fault, times: 9 });
    expect(await failure(world.generate(plan('Yoga')))).toMatchObject({ code, retryable });
    expect(world.server.requests).toHaveLength(1);
    expect(world.calls.at(-1)!.line['error']).toMatch(/^Error: /);
  });
});

describe('a run without hope', () => {
  it.each([
    [{ kind: 'status', status: 401 }, 1],
    [{ kind: 'rate-limit', quota: true }, 4],
    [{ kind: 'status', status: 402 }, 4],
  ] as const)('ends with the first prompt: %j', async (fault, requests) => {
    world.faults({ fault, times: 999 });
    await failure(world.generate(plan('a', 'b', 'c', 'd', 'e', 'f'), { parallelism: 1 }));
    expect(world.server.requests).toHaveLength(requests);
  });

  it.each([[{ kind: 'status', status: 400 }], [{ kind: 'replace', body: '<html>login</html>' }]] as const)(
    'ends after five answers that none of it can be: %j',
    async (fault) => {
      world.faults({ fault, times: 999 });
      const topics = Array.from({ length: 12 }, (_, index) => `Thema ${index}`);
      const error = await failure(world.generate(plan(...topics), { parallelism: 1 }));
      expect(error).toMatchObject({ code: 'LLM_ANSWER_INVALID', retryable: false });
      expect(world.server.requests).toHaveLength(5);
    },
  );

  it('ends with the first prompt that nobody answers, and no twenty more are tried', async () => {
    world.faults({ fault: { kind: 'cut', when: 'before-answer' }, times: 999 });
    const topics = Array.from({ length: 20 }, (_, index) => `Thema ${index}`);
    const error = await failure(world.generate(plan(...topics)));
    expect(error).toMatchObject({ code: 'LLM_UNREACHABLE', retryable: true, retryAfterMs: 300_000 });
    // Four prompts at the same time, four calls each.
    expect(world.server.requests.length).toBeLessThanOrEqual(16);
  });

  it('goes on after a prompt without a connection when another one has been made', async () => {
    world.faults({ containing: 'Thema 2', fault: { kind: 'cut', when: 'before-answer' }, times: 4 });
    const topics = Array.from({ length: 6 }, (_, index) => `Thema ${index}`);
    const summary = await world.generate(plan(...topics), { parallelism: 1 });
    expect(summary).toMatchObject({ made: [0, 1, 3, 4, 5], stopped: null });
  });

  it('ends after five failures of the endpoint in a row, and keeps what was made', async () => {
    world.faults({ fault: { kind: 'status', status: 503 }, after: 2, times: 999 });
    const topics = Array.from({ length: 12 }, (_, index) => `Thema ${index}`);
    const summary = await world.generate(plan(...topics), { parallelism: 1 });
    expect(summary.made).toEqual([0, 1]);
    expect(summary.failed).toHaveLength(5);
    expect(summary.stopped).toMatch(/5 prompts in a row/);
  });

  it.each([
    [{ kind: 'silence' }, 'LLM_UNREACHABLE'],
    [{ kind: 'rate-limit' }, 'LLM_RATE_LIMITED'],
    [{ kind: 'status', status: 503 }, 'LLM_FAILED'],
  ] as const)('%j: ends after an hour and a half without a completion, over all attempts', async (fault, code) => {
    world.faults({ fault, times: 999 });
    const topics = Array.from({ length: 12 }, (_, index) => `Thema ${index}`);
    const changes = { askingSince: Date.now() - patienceMs };
    const error = await failure(world.generate(plan(...topics), { parallelism: 2, timeoutSeconds: 1 }, changes));
    expect(error).toMatchObject({ code, retryable: false, next: expect.stringContaining('baseUrl') as string });
    expect(error.message).toContain('no completion from the endpoint for 90 minutes');
    expect(world.server.requests).toHaveLength(2);
  });

  it('is not tried again when the next attempt would come too late', async () => {
    world.faults({ fault: { kind: 'cut', when: 'before-answer' }, times: 999 });
    const attempt = (minutesAgo: number) =>
      failure(world.generate(plan('Yoga'), {}, { askingSince: Date.now() - patienceMs + minutesAgo * 60_000 }));
    expect(await attempt(6)).toMatchObject({ code: 'LLM_UNREACHABLE', retryable: true });
    expect(await attempt(4)).toMatchObject({ code: 'LLM_UNREACHABLE', retryable: false });
  });

  it('has new patience with every completion, and keeps what was made when that is over', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const hourMs = 3_600_000;
      world.faults({ fault: { kind: 'cut', when: 'before-answer' }, after: 4, times: 999 });
      const onPrompt = ({ index }: { readonly index: number }) => {
        vi.setSystemTime(Date.now() + (index === 3 ? patienceMs : hourMs));
        return Promise.resolve();
      };
      const topics = Array.from({ length: 12 }, (_, index) => `Thema ${index}`);
      const summary = await world.generate(plan(...topics), { parallelism: 1 }, { onPrompt });
      expect(summary).toMatchObject({ made: [0, 1, 2, 3], failed: [{ index: 4 }] });
      expect(summary.stopped).toMatch(
        /^no completion from the endpoint for 90 minutes, the last call: Connection error/,
      );
      expect(world.server.requests).toHaveLength(5);
    } finally {
      vi.useRealTimers();
    }
  });

  it('ends at the cost limit', async () => {
    const summary = await world.generate(plan('a', 'b', 'c', 'd'), { parallelism: 1, costLimit: 0.000001 });
    expect(summary).toMatchObject({ made: [0] });
    expect(summary.stopped).toMatch(/the limit is/);
  });
});

/** As if the minutes of the other limits were fractions of a second. */
function shortOtherLimits(): { restore: () => void } {
  const name = Symbol.for('undici.globalDispatcher.1');
  const globals = globalThis as unknown as Record<symbol, object>;
  const usual = globals[name]!;
  const Agent = usual.constructor as new (options: object) => object;
  const usualTimeout = OpenAI.DEFAULT_TIMEOUT;
  globals[name] = new Agent({ headersTimeout: 200, bodyTimeout: 200 });
  OpenAI.DEFAULT_TIMEOUT = 600;
  return {
    restore: () => {
      globals[name] = usual;
      OpenAI.DEFAULT_TIMEOUT = usualTimeout;
    },
  };
}
