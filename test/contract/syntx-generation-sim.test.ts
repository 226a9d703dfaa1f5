import OpenAI from 'openai';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { startLlmServer, type LlmServer } from '../../src/sims/llm/server.js';
import { cellOf, drawLandscape } from '../../src/sims/syntx/landscape.js';
import { productionStyles, productionTopics } from '../../src/syntx/generation/production-set.js';
import { requestText, sentText } from '../../src/syntx/generation/request-text.js';
import { simulatedPromptText } from '../../src/sims/llm/prompt-text.js';

const apiKey = 'sim-key';
let server: LlmServer;
beforeEach(async () => {
  server = await startLlmServer({ apiKey });
});
afterEach(() => server.close());

const client = (key = apiKey) => new OpenAI({ apiKey: key, baseURL: server.address, maxRetries: 0, logLevel: 'off' });
const ask = (content: string, model = 'gpt-4o') =>
  client().chat.completions.create({ model, messages: [{ role: 'user', content }] });

it('speaks the protocol of the official client and says that it is simulated wherever the model shows', async () => {
  const models = await client().models.list();
  expect(models.data.map(({ id }) => id)).toEqual(['simulated-llm']);
  const completion = await ask('Formuliere wissenschaftlich: Robotik');
  expect(completion).toMatchObject({
    ...{ object: 'chat.completion', model: 'simulated-gpt-4o' },
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', refusal: null } }],
  });
  expect(completion.choices[0]!.message.content).toMatch(/„Robotik“.*simuliert/s);
  expect(completion.usage!.total_tokens).toBe(completion.usage!.prompt_tokens + completion.usage!.completion_tokens);
});

it('writes texts that depend on the message alone, and another one each time that it comes', async () => {
  const texts = [];
  for (const topic of ['Robotik', 'Yoga', 'Robotik']) texts.push((await ask(topic)).choices[0]!.message.content);
  expect(texts).toEqual([
    simulatedPromptText('Robotik', 0),
    simulatedPromptText('Yoga', 0),
    simulatedPromptText('Robotik', 1),
  ]);
  expect(new Set(texts).size).toBe(3);
});

it('names subject and style as the producer asks for them, so that a simulated service can tell the cell', async () => {
  const cells = productionStyles.flatMap((style) =>
    Object.keys(productionTopics).map((category) => ({ style, category })),
  );
  const landscape = drawLandscape('any');
  const learned = {
    ...{ sampleCount: 5, averageScore: 97.5, averageFieldCompleteness: 99 },
    ...{ topCategories: ['bildung', 'harmlos'], topStyles: ['casual'] },
  };
  for (const { style, category } of cells) {
    const topic = productionTopics[category]![0]!;
    const planned = { style, category, topic, reason: { kind: 'random', text: '' } as const };
    for (const learnedFrom of [null, learned]) {
      const message = sentText(requestText(planned, { learnedFrom, feedbackStrength: 0.8 }), style, {
        ...{ refused: 0, similar: 0 },
      });
      const content = (await ask(message)).choices[0]!.message.content!;
      expect(content).toContain(`Stil: ${style}.`);
      expect(cellOf(content, landscape)).toEqual({ style, category });
    }
  }
});

it('refuses as the real one: wrong key, wrong route, wrong request', async () => {
  await expect(client('another').models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  const headers = { authorization: `Bearer ${apiKey}` };
  expect((await fetch(`${server.address}/embeddings`, { method: 'POST', headers })).status).toBe(404);
  for (const body of ['no json', '{"model":"gpt-4o","messages":[]}']) {
    const answer = await fetch(`${server.address}/chat/completions`, { method: 'POST', headers, body });
    expect([answer.status, answer.headers.get('x-simulated')]).toEqual([400, 'true']);
  }
});
