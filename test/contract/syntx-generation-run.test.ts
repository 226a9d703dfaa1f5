import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { TowerError } from '../../src/errors.js';
import { promptMetadata } from '../../src/syntx/generation/prompt-result.js';
import { NearDuplicates } from '../../src/syntx/generation/similarity.js';
import { LlmWorld, plan } from '../support/llm-world.js';
import { failure } from '../support/server-faults.js';
import { waitUntil } from '../support/wait-until.js';

let world: LlmWorld;
beforeEach(async () => {
  world = await LlmWorld.create();
});
afterEach(() => world.server.close());

const topics = Array.from({ length: 20 }, (_, index) => `Thema Nummer ${index}`);

it('makes a run of twenty, several at a time and never more, all different', async () => {
  const slow = await LlmWorld.create({ latencyMs: 60 });
  try {
    const summary = await slow.generate(plan(...topics), { parallelism: 3 });
    expect(summary).toMatchObject({ made: [...topics.keys()], failed: [], stopped: null, simulated: true });
    expect(slow.server.mostAtOnce).toBe(3);
    expect(new Set(slow.made.map(({ text }) => text)).size).toBe(20);
  } finally {
    await slow.server.close();
  }
});

it('gives the metadata of the contract', async () => {
  await world.generate(plan('Yoga'));
  const [made] = world.made;
  const metadata = promptMetadata(made!);
  expect(Object.keys(metadata)).toEqual(['gpt_quality', 'gpt_cost', 'model', 'duration_ms']);
  expect(metadata['model']).toBe('gpt-4o');
  expect(Object.keys(made!.cost)).toEqual([
    ...['input_tokens', 'output_tokens', 'input_cost', 'output_cost', 'total_cost', 'currency'],
  ]);
  expect(made!.quality.total_score).toBeGreaterThanOrEqual(5);
  expect(world.calls[0]!.line).toMatchObject({
    success: true,
    prompt_out: made!.text,
    style: 'casual',
    category: 'harmlos',
  });
});

it('logs a failure, a refusal and a success as the original does', async () => {
  world.faults({ fault: { kind: 'status', status: 400 } }, { fault: { kind: 'refusal', by: 'text' } });
  await world.generate(plan('Kochen', 'Yoga'), { parallelism: 1 });
  const [failed, refused, made] = world.calls.map(({ line }) => line);
  const cell = { style: 'casual', category: 'harmlos' };
  const cost = { total_cost: expect.any(Number) as number, currency: 'USD' };

  expect(failed).toMatchObject({
    ...{ success: false, prompt_sent: 'Kochen', prompt_generated: null, retries: 0, refusal_attempts: 0, ...cell },
    ...{ error: expect.stringMatching(/^Error: /) as string, model: 'gpt-4o', quality_score: null, cost: null },
  });
  expect(failed).not.toHaveProperty('prompt_in');
  expect(failed).not.toHaveProperty('prompt_out');
  expect(Object.keys(refused!)).toEqual([
    ...['model', 'prompt_in', 'prompt_out', 'error', 'success', 'duration_ms', 'retry_count'],
    ...['refusal_attempts', 'quality_score', 'cost', 'style', 'category'],
  ]);
  expect(refused).toMatchObject({
    prompt_in: 'Formuliere locker und leicht verständlich: Yoga',
    ...{ prompt_out: expect.any(String) as string, success: false, refusal_attempts: 1, retry_count: 0 },
    ...{ quality_score: null, cost, ...cell },
  });
  expect(Object.keys(made!)).toEqual([
    ...['success', 'prompt_sent', 'prompt_generated', 'error', 'model', 'duration_ms', 'retries'],
    ...['refusal_attempts', 'quality_score', 'cost', 'style', 'category', 'prompt_in', 'prompt_out', 'retry_count'],
  ]);
  expect(made).toMatchObject({
    ...{ success: true, prompt_sent: 'Yoga', prompt_generated: world.made[0]!.text, error: null, ...cell },
    ...{ retries: 0, retry_count: 0, refusal_attempts: 1, quality_score: { max_score: 10 }, cost },
    prompt_in: 'Formuliere locker und leicht verständlich: Yoga\n\n(Versuch 2: Bitte mit anderen Worten formulieren.)',
    prompt_out: world.made[0]!.text,
  });
});

describe('near-duplicates', () => {
  it('of a prompt of the same run are made anew, with a note', async () => {
    world.faults({ fault: { kind: 'repeat' }, after: 1, times: 2 });
    const { failed } = await world.generate(plan('Yoga', 'Robotik'), { parallelism: 1 });
    expect(failed).toEqual([]);
    expect(new Set(world.made.map(({ text }) => text)).size).toBe(2);
    expect(world.server.requests.at(-1)!.message).toMatch(/\(Entwurf 3: .*\)$/);
    expect(world.calls[1]!.line).toMatchObject({ success: false, error: '100 % like prompt 1 of this run' });
  });

  it('of recent prompts end the prompt after three tries', async () => {
    await world.generate(plan('Yoga'));
    const recent = [{ name: 'B_1', text: `Neu: ${world.made[0]!.text}` }];
    world.faults({ fault: { kind: 'repeat' }, times: 9 });
    const error = await failure(world.generate(plan('Robotik'), {}, { recent }));
    expect(error).toMatchObject({ code: 'PROMPTS_SIMILAR', details: { counts: { similar: 1 } } });
    expect(error.message).toMatch(/\d\d % like B_1 after 3 attempts/);
  });

  it('are told by their words, not by their letters', () => {
    const known = new NearDuplicates(0.6);
    const text = 'Beschreibe, wie der Klimawandel die Wälder verändert, und nenne drei Beispiele aus der Region.';
    known.add('first', text);
    expect(known.find(text.toUpperCase().replaceAll(',', ' -'))).toMatchObject({ name: 'first', similarity: 1 });
    expect(known.find(text.replace('Region', 'Heimat'))?.similarity).toBeGreaterThan(0.8);
    expect(
      known.find('Beschreibe, wie der Klimawandel die Meere verändert. Nenne Beispiele und ihre Folgen.'),
    ).toBeUndefined();
  });
});

describe('what was paid for', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tower-generation-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const keep = async ({ index, text }: { index: number; text: string }) =>
    writeFile(join(directory, `${index}.txt`), text);

  it('is kept at once: a run that is ended loses nothing, and the next attempt makes the rest', async () => {
    world.faults({ fault: { kind: 'silence' }, after: 5, times: 99 });
    const controller = new AbortController();
    const run = world.generate(plan(...topics), {}, { onPrompt: keep, signal: controller.signal });
    const ending = run.catch((error: unknown) => error);
    await waitUntil('five kept prompts', async () => (await readdir(directory)).length === 5);
    controller.abort(new Error('shut down'));
    expect(await ending).toMatchObject({ message: 'shut down' });

    world.faults();
    const kept = await readdir(directory);
    expect(kept).toHaveLength(5);
    const before = await Promise.all(kept.map((name) => readFile(join(directory, name), 'utf8')));
    const done = new Set(kept.map((name) => Number.parseInt(name)));
    const recent = before.map((text, index) => ({ name: `kept ${index}`, text }));
    const summary = await world.generate(plan(...topics), {}, { done, recent, onPrompt: keep });
    expect(summary.made).toHaveLength(15);
    expect((await readdir(directory)).length).toBe(20);
    const after = await Promise.all(kept.map((name) => readFile(join(directory, name), 'utf8')));
    expect(after).toEqual(before);
  });

  it('cannot be kept: the run ends with that error, and pays for no more', async () => {
    const full = new TowerError('DISK_FULL', 'no space left', { retryable: true });
    const onPrompt = async (prompt: { index: number; text: string }) => {
      if (prompt.index === 3) throw full;
      await keep(prompt);
    };
    expect(await failure(world.generate(plan(...topics), { parallelism: 1 }, { onPrompt }))).toBe(full);
    expect(await readdir(directory)).toHaveLength(3);
    expect(world.server.requests).toHaveLength(4);
  });

  it('is kept, too, of the calls that are under way when a call cannot be logged; no further one is begun', async () => {
    const full = new TowerError('DISK_FULL', 'no space left', { retryable: true });
    world.faults({ containing: 'langsam', fault: { kind: 'slow', milliseconds: 500 }, times: 9 });
    const onCall = () => Promise.reject(full);
    const planned = plan('Thema rasch', 'Thema langsam', 'Gebiet langsam', 'Thema danach');
    expect(await failure(world.generate(planned, { parallelism: 3 }, { onPrompt: keep, onCall }))).toBe(full);
    expect((await readdir(directory)).sort()).toEqual(['0.txt', '1.txt', '2.txt']);
    expect(world.server.requests).toHaveLength(3);
  });
});

it('reports progress, with what earlier attempts made', async () => {
  const seen: unknown[] = [];
  await world.generate(
    plan('a', 'b', 'c'),
    { parallelism: 1 },
    { done: new Set([1]), onProgress: (one) => seen.push(one) },
  );
  expect(seen).toEqual([1, 2, 3].map((made) => ({ made, failed: 0, total: 3 })));
  expect(world.made.map(({ index }) => index)).toEqual([0, 2]);
});

it('a blank topic fails without a call', async () => {
  const summary = await world.generate(plan('Yoga', ' '));
  expect(summary.failed).toMatchObject([{ failure: 'input', error: 'Empty input prompt' }]);
  expect(world.server.requests).toHaveLength(1);
});
