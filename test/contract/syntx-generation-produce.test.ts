import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { configSchema } from '../../src/config/schema.js';
import { readOpenAiKey } from '../../src/config/secrets.js';
import { llmFaultsFromRules, type LlmFaults } from '../../src/sims/llm/faults.js';
import { startLlmServer, type LlmServer } from '../../src/sims/llm/server.js';
import { openSyntx } from '../../src/syntx/open-syntx.js';
import { decideProduction } from '../../src/syntx/production/decide-production.js';
import { generateProduction } from '../../src/syntx/production/generate-production.js';
import { planProduction } from '../../src/syntx/production/plan-production.js';
import type { Producer } from '../../src/syntx/production/producer.js';
import { publishProduction } from '../../src/syntx/production/publish-production.js';
import { failure } from '../support/server-faults.js';
import { baseName, incomingMetadata, QueueWorld, stages } from '../support/syntx-queue.js';

const logicalTime = '2026-01-06T04:00:00.000Z';
const styles = ['technisch', 'kreativ', 'akademisch', 'casual'];
const log = pino({ level: 'silent' });
const options = { signal: new AbortController().signal, log };

let world: QueueWorld;
let llm: LlmServer;
let faults: LlmFaults;
let home: string;

beforeEach(async () => {
  world = new QueueWorld();
  home = mkdtempSync(join(tmpdir(), 'tower-produce-'));
  faults = () => undefined;
  llm = await startLlmServer({ faults: (message) => faults(message) });
});
afterEach(async () => {
  await llm.close();
  world.close();
  rmSync(home, { recursive: true, force: true });
});

interface ProducerChanges {
  readonly at?: string;
  readonly queue?: string;
  readonly generation?: object;
  readonly learning?: object;
  readonly instance?: string;
}

/** A producer as a worker has it when it has just started. */
function producer(changes: ProducerChanges = {}): Producer {
  const { at = home, queue = world.root, generation, learning = {}, instance = 'here' } = changes;
  const config = configSchema.parse({
    syntx: {
      ...{ queue, createQueue: true, timezone: 'UTC', logDirectory: join(queue, 'cron') },
      dataLogDirectory: join(queue, 'data'),
      generation: { baseUrl: llm.address, ...generation },
      learning,
    },
  });
  const files = openSyntx({ config, home: at, host: 'test', log });
  const readApiKey = () => readOpenAiKey(config, process.env);
  return { files, settings: config.syntx, readApiKey, runs: join(at, 'syntx'), instance };
}

async function scored(number: number, score: number | null, stage: 'processed' | 'error' | 'archive'): Promise<string> {
  const name = baseName(number, number % 2 === 0 ? 'harmlos' : 'bildung', styles[number % 4]);
  const good = stage !== 'error';
  const metadata = {
    ...incomingMetadata(name),
    syntex_result: {
      quality_score:
        score === null
          ? null
          : { total_score: score, field_completeness: score, structure_adherence: 100, detail_breakdown: {} },
      ...{ duration_ms: 1, session_id: '519c9a2e', wrapper: 'sigma', worker_id: 'cron_sigma', response_text: 'r' },
    },
    ...(good
      ? { processed_at: `2026-01-05T05:00:${String(number).padStart(2, '0')}`, status: 'success' }
      : {
          last_error: { error: `score ${score ?? 0} < 90` },
          ...{ failed_at: `2026-01-05T05:00:${String(number).padStart(2, '0')}`, status: 'error' },
        }),
  };
  await world.put(stage, name, { metadata, ...(stage === 'processed' && { response: 'r' }) });
  return name;
}

async function history(): Promise<void> {
  for (let number = 0; number < 30; number++) {
    const good = number % 4 === 3;
    await scored(number, good ? 98 : 40, good ? (number < 20 ? 'archive' : 'processed') : 'error');
  }
}

async function begin(tools: Producer, make = 20): Promise<string> {
  const { run } = await decideProduction(tools, { logicalTime, count: make, force: true }, options);
  await planProduction(tools, { run, make, logicalTime }, options);
  return run;
}

const planOf = (run: string, at = home): string => readFileSync(join(at, 'syntx', run, 'plan.json'), 'utf8');
const prompts = (stage: string): string[] =>
  world.names(stage).filter((name) => name.endsWith('.txt') && !name.endsWith('_response.txt'));

describe('the next generation', () => {
  it('is the same after a restart, and on another machine with the same files', async () => {
    await history();
    const run = await begin(producer());
    const first = planOf(run);
    const other = mkdtempSync(join(tmpdir(), 'tower-produce-'));
    cpSync(world.root, join(other, 'queue'), { recursive: true });
    try {
      // A worker that was killed before the plan was on disk, one that was killed after, and a copy of it all.
      rmSync(join(home, 'syntx'), { recursive: true });
      expect(planOf(await begin(producer()))).toBe(first);
      expect(planOf(await begin(producer(), 7))).toBe(first);
      const copied = producer({ at: other, queue: join(other, 'queue') });
      expect(planOf(await begin(copied), other)).toBe(first);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('learns from every scored job once, and archives what taught and lies in processed, after the new ones are written', async () => {
    await history();
    const [pair, unscored] = [await scored(40, 98, 'processed'), await scored(41, null, 'processed')];
    rmSync(world.path('processed', `${pair}_response.txt`));
    const foreign = baseName(50, 'harmlos', 'barock');
    await world.put('processed', foreign, {
      metadata: { ...world.metadata('processed', pair), style: 'barock', filename: `${foreign}.txt` },
    });
    const teaching = prompts('processed').filter((name) => ![`${unscored}.txt`, `${foreign}.txt`].includes(name));
    const low = prompts('error');
    const tools = producer();
    const run = await begin(tools);
    expect(JSON.parse(planOf(run))).toMatchObject({ learnedFrom: { sampleCount: 31 }, generation: 1 });
    await generateProduction(tools, { run }, options);
    expect(prompts('archive')).toHaveLength(5);
    expect(await publishProduction(tools, { run }, options)).toMatchObject({ written: 20, archived: 3 });
    expect(teaching).toHaveLength(3);
    expect(prompts('archive')).toEqual(expect.arrayContaining(teaching));
    expect(prompts('processed').sort()).toEqual([`${foreign}.txt`, `${unscored}.txt`].sort());
    expect(prompts('error')).toEqual(low);
    expect(world.names('archive').filter((name) => name.endsWith('_response.txt'))).toHaveLength(2);
    const next = await planProduction(tools, { run: 'produce-next', make: 5, logicalTime }, options);
    expect(next).toMatchObject({ learnedFrom: 31, generation: 2 });
  });

  it('is not misled by scores off the scale, and learns nothing from them', async () => {
    await history();
    const [huge, negative] = [await scored(44, 1e308, 'processed'), await scored(45, -5, 'archive')];
    const run = await begin(producer());
    expect(JSON.parse(planOf(run))).toMatchObject({ learnedFrom: { sampleCount: 30 } });
    expect(planOf(run)).not.toContain(huge);
    expect(negative).toContain('20260105');
  });
});

describe('what was paid', () => {
  it('is never paid again: a run that is ended in the middle goes on, and one that is published makes no call', async () => {
    const controller = new AbortController();
    const tools = producer({ generation: { parallelism: 2 } });
    const run = await begin(tools, 10);
    const kept = () => readdirSync(join(home, 'syntx', run, 'prompts')).sort();
    faults = (message) => {
      void message;
      if (llm.requests.length >= 5) controller.abort(new Error('killed'));
      return undefined;
    };
    await expect(generateProduction(tools, { run }, { ...options, signal: controller.signal })).rejects.toThrow(
      'killed',
    );
    const [before, called] = [kept(), llm.requests.length];
    expect(before.length).toBeGreaterThan(0);
    const texts = before.map((name) => readFileSync(join(home, 'syntx', run, 'prompts', name), 'utf8'));
    faults = () => undefined;

    const again = producer({ generation: { parallelism: 2 } });
    expect(await generateProduction(again, { run }, options)).toMatchObject({ made: 10, failed: 0 });
    expect(llm.requests.length - called).toBe(10 - before.length);
    const now = before.map((name) => readFileSync(join(home, 'syntx', run, 'prompts', name), 'utf8'));
    expect(now).toEqual(texts);

    expect(await publishProduction(again, { run }, options)).toMatchObject({ written: 10 });
    const calls = llm.requests.length;
    const repeated = await generateProduction(producer(), { run }, options);
    expect(repeated).toMatchObject({ made: 10, failed: 0, simulated: true });
    expect(await publishProduction(producer(), { run }, options)).toMatchObject({ written: 10 });
    expect([llm.requests.length, prompts('incoming').length]).toEqual([calls, 10]);
    expect(readdirSync(join(home, 'syntx', run)).sort()).toEqual(
      ['costs.jsonl', 'outcome.json', 'plan.json', 'published.json'].sort(),
    );
  });

  it('is not taken for that of another Tower of the same minute: each makes its own, and both are recorded', async () => {
    const second = mkdtempSync(join(tmpdir(), 'tower-produce-'));
    try {
      const towers = [producer(), producer({ at: second, instance: 'there' })];
      const runs = [];
      for (const tools of towers) runs.push({ tools, run: await begin(tools, 8) });
      for (const { tools, run } of runs) await generateProduction(tools, { run }, options);
      for (const { tools, run } of runs) {
        expect(await publishProduction(tools, { run }, options)).toMatchObject({ written: 8 });
      }
      expect(prompts('incoming')).toHaveLength(16);
      const texts = prompts('incoming').map((name) => world.text('incoming', name));
      expect(new Set(texts).size).toBe(16);
      expect(await towers[0]!.files.evolution.history()).toHaveLength(2);
      expect(world.faults()).toEqual([]);
    } finally {
      rmSync(second, { recursive: true, force: true });
    }
  });

  it('has a number of its own, also beside another Tower of the same minute', async () => {
    await history();
    const second = mkdtempSync(join(tmpdir(), 'tower-produce-'));
    try {
      const towers = [producer(), producer({ at: second, instance: 'there' })];
      const runs = [];
      for (const tools of towers) runs.push({ tools, run: await begin(tools, 2) });
      for (const { tools, run } of runs) await generateProduction(tools, { run }, options);
      const published = await Promise.all(runs.map(({ tools, run }) => publishProduction(tools, { run }, options)));
      expect(published.map(({ generation }) => generation).sort()).toEqual([1, 2]);
      const lines = readFileSync(world.path('cron', 'evolution.jsonl'), 'utf8').trim().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { generation: number }).generation).sort()).toEqual([1, 2]);
      for (const [index, { run }] of runs.entries()) {
        const own = prompts('incoming').map((name) => world.metadata('incoming', name.slice(0, -4))['tower']);
        const ofRun = (own as { run: string; generation: number }[]).filter((job) => job.run === run);
        expect(ofRun.map(({ generation }) => generation)).toEqual(Array(2).fill(published[index]!.generation));
      }
      const next = { run: 'produce-next', make: 1, logicalTime };
      expect(await planProduction(towers[1]!, next, options)).toMatchObject({ generation: 3 });
    } finally {
      rmSync(second, { recursive: true, force: true });
    }
  });

  it('of an interrupted run waits once: what it has written before is in the queue already', async () => {
    const tools = producer();
    const run = await begin(tools, 6);
    await generateProduction(tools, { run }, options);
    const controller = new AbortController();
    const interrupted = {
      ...options,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('killed')),
    };
    await expect(publishProduction(tools, { run }, interrupted)).rejects.toThrow('killed');
    expect(prompts('incoming')).toHaveLength(1);
    const next = { logicalTime: '2026-01-06T06:00:00.000Z', force: false };
    expect(await decideProduction(producer(), next, options)).toMatchObject({ waiting: 6, kept: 5, leftovers: [run] });
    // Also when it has been answered meanwhile.
    await tools.files.queue.claim({ owner: { workflowId: 'w', runId: 'r' }, claim: '1' });
    expect(await decideProduction(producer(), next, options)).toMatchObject({ waiting: 5, kept: 5 });
    await publishProduction(tools, { run }, options);
    expect(await decideProduction(producer(), next, options)).toMatchObject({ waiting: 5, kept: 0, leftovers: [] });
  });

  it('is in the queue and recorded also when the outcome of its run is damaged', async () => {
    const tools = producer();
    const run = await begin(tools, 6);
    await generateProduction(tools, { run }, options);
    const { paid } = JSON.parse(readFileSync(join(home, 'syntx', run, 'outcome.json'), 'utf8')) as { paid: number };
    writeFileSync(join(home, 'syntx', run, 'outcome.json'), '{');
    const next = { logicalTime: '2026-01-06T06:00:00.000Z', force: false };
    expect(await decideProduction(producer(), next, options)).toMatchObject({ leftovers: [run] });
    expect(await publishProduction(producer(), { run }, options)).toMatchObject({ written: 6 });
    expect(prompts('incoming')).toHaveLength(6);
    const [recorded] = await tools.files.evolution.history();
    expect(recorded?.record?.paid).toBeCloseTo(paid);
    expect(await generateProduction(producer(), { run }, options)).toMatchObject({ made: 6, failed: 0 });
    expect(await decideProduction(producer(), next, options)).toMatchObject({ leftovers: [] });
  });

  it('counts against the limit over all attempts, refusals included', async () => {
    const tools = producer({ generation: { costLimit: 0.000_001, parallelism: 1 } });
    const run = await begin(tools, 6);
    faults = llmFaultsFromRules([{ fault: { kind: 'refusal' }, times: 4 }]);
    expect(await failure(generateProduction(tools, { run }, options))).toMatchObject({ code: 'PROMPTS_REFUSED' });
    const calls = llm.requests.length;
    const error = await failure(
      generateProduction(producer({ generation: { costLimit: 0.000_001 } }), { run }, options),
    );
    expect(error).toMatchObject({ code: 'COST_LIMIT', retryable: false });
    expect(llm.requests).toHaveLength(calls);
  });

  it('is logged call by call, also by an endpoint that gives all its answers the same id', async () => {
    const tools = producer();
    const run = await begin(tools, 6);
    await generateProduction(tools, { run }, options);
    const costs = readFileSync(world.path('data', 'costs.jsonl'), 'utf8').trim().split('\n');
    const keys = costs.map((line) => (JSON.parse(line) as { tower_call: string }).tower_call);
    expect(new Set(keys).size).toBe(6);
    const ids = keys.map((key) => key.split('/'));
    expect(ids.every(([id, own]) => id!.startsWith('chatcmpl-simulated') && own!.length === 36)).toBe(true);
  });
});

describe('with more prompts waiting than are compared', () => {
  const waiting = 320;
  const fill = async () => {
    for (let number = 1; number <= waiting; number++) await world.put('incoming', baseName(1000 + number));
  };

  it('every one of them counts as on its way', async () => {
    await history();
    await fill();
    // 30 are scored: a style and category that none of the 350 has is overdue, and would not be with a part of them.
    const run = await begin(producer({ learning: { overdueAfterDraws: 30 + waiting - 10 } }));
    const { prompts: drawn } = JSON.parse(planOf(run)) as { prompts: { reason: { kind: string; text: string } }[] };
    expect(drawn.filter(({ reason }) => reason.kind === 'coverage')).toMatchObject([
      { reason: { text: expect.stringContaining(`the last ${30 + waiting} draws`) as string } },
    ]);
  });

  it('those of a category that no file name can have as it is count, too', async () => {
    await history();
    const topics = { 'KI/Robotik': ['Roboter'], harmlos: ['Katzen'] };
    const tools = producer({ generation: { topics }, learning: { overdueAfterDraws: 8 } });
    const coverage = async (logicalTime: string) => {
      const { run } = await decideProduction(tools, { logicalTime, count: 20, force: true }, options);
      await planProduction(tools, { run, make: 20, logicalTime }, options);
      const { prompts: drawn } = JSON.parse(planOf(run)) as {
        prompts: { category: string; style: string; reason: { kind: string } }[];
      };
      return drawn.filter(({ reason }) => reason.kind === 'coverage').map(({ style, category }) => [style, category]);
    };
    const [first] = await coverage('2026-01-06T04:00:00.000Z');
    expect(first![1]).toBe('KI/Robotik');
    // All its styles are on their way now: they are not what is overdue.
    for (const [index, style] of styles.entries())
      await world.put('incoming', baseName(500 + index, 'KI_Robotik', style));
    expect((await coverage('2026-01-06T06:00:00.000Z')).map(([, category]) => category)).not.toContain('KI/Robotik');
  });

  it('a new one must differ from the newest of them', async () => {
    await fill();
    const tools = producer({ generation: { parallelism: 1 } });
    const first = await begin(tools, 1);
    await generateProduction(tools, { run: first }, options);
    await publishProduction(tools, { run: first }, options);
    const [newest = ''] = prompts('incoming').slice(-1);
    expect(newest).toMatch(/^20260106_04/);
    const second = await decideProduction(
      tools,
      { logicalTime: '2026-01-06T06:00:00.000Z', count: 1, force: true },
      options,
    );
    await planProduction(tools, { ...second, logicalTime: '2026-01-06T06:00:00.000Z' }, options);
    faults = llmFaultsFromRules([{ fault: { kind: 'repeat' } }]);
    expect(await generateProduction(tools, second, options)).toMatchObject({ made: 1, failed: 0 });
    expect(llm.requests).toHaveLength(3);
    const log = readFileSync(world.path('data', 'gpt_prompts.jsonl'), 'utf8');
    expect(log).toContain(`100 % like ${newest.replace(/\.txt$/, '')}`);
  });
});

it('two attempts at publishing the same run at once write, archive and record it once', async () => {
  await history();
  const [tools, other] = [producer(), producer()];
  const run = await begin(tools, 6);
  await generateProduction(tools, { run }, options);
  const results = await Promise.all([tools, other].map((one) => publishProduction(one, { run }, options)));
  expect(results).toEqual([results[0], results[0]]);
  expect(results[0]).toMatchObject({ written: 6 });
  expect(prompts('incoming')).toHaveLength(6);
  const lines = (name: string) => readFileSync(world.path('cron', name), 'utf8').trim().split('\n');
  expect(lines('generations.jsonl').map((line) => JSON.parse(line) as object)).toMatchObject([
    { at: logicalTime, recordedAt: expect.stringMatching(/^2\d{3}-.*Z$/) as string },
  ]);
  expect(lines('evolution.jsonl')).toHaveLength(1);
  expect(lines('producer_cron.log').filter((line) => line.includes('Written: 6 '))).toHaveLength(1);
});

it('the log of the original counts good jobs as its own producer does, whatever the policy learns from', async () => {
  await history();
  const tools = producer({ learning: { goodScore: 95 } });
  const run = await begin(tools, 2);
  await generateProduction(tools, { run }, options);
  await publishProduction(tools, { run }, options);
  const block = readFileSync(world.path('cron', 'producer_cron.log'), 'utf8');
  expect(block).toContain('Found 7 high-quality jobs (score >= 95)');
  expect(block).toContain('Avg Score: 98/100');
  expect(block).toContain('Learned from: 30 jobs');
});

it.each([
  ['uniform', 'the policy uniform learns nothing'],
  ['patterns', 'no job in processed/ has a good score'],
])('a run by the policy %s that has learned nothing says why', async (policy, why) => {
  for (let number = 0; number < 30; number++) await scored(number, policy === 'uniform' ? 98 : 40, 'processed');
  const tools = producer({ learning: { policy } });
  const run = await begin(tools, 2);
  await generateProduction(tools, { run }, options);
  await publishProduction(tools, { run }, options);
  const block = readFileSync(world.path('cron', 'producer_cron.log'), 'utf8');
  expect(block).toContain(`Nothing learned, ${why}: random topics and styles`);
  expect(block).toContain('Learned from: 0 jobs');
});

it('whether anybody knows the cost of a run is recorded with it', async () => {
  const priced = [];
  for (const [index, model] of ['gpt-4o', 'own-model'].entries()) {
    const tools = producer({ generation: { model } });
    const at = { logicalTime: `2026-01-06T0${index}:00:00.000Z`, count: 1, force: true };
    const { run } = await decideProduction(tools, at, options);
    await planProduction(tools, { run, make: 1, logicalTime: at.logicalTime }, options);
    priced.push((await generateProduction(tools, { run }, options)).priced);
    await publishProduction(tools, { run }, options);
  }
  const records = (await producer().files.evolution.history()).map(({ record }) => record?.priced);
  expect([priced, records]).toEqual([
    [true, false],
    [true, false],
  ]);
});

it('a job that taught and cannot be archived is told, with the reason', async () => {
  await history();
  const tools = producer();
  const run = await begin(tools, 2);
  await generateProduction(tools, { run }, options);
  const [taught = ''] = prompts('processed').map((name) => name.replace(/\.txt$/, ''));
  await world.put('archive', taught);
  const lines: string[] = [];
  const noting = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  await publishProduction(tools, { run }, { ...options, log: noting });
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { run, count: 1, skipped: [{ baseName: taught, reason: 'the archive has another job of this name' }] },
  ]);
});

describe('when nothing can be made', () => {
  it('nothing is written or archived, and the queue stays as it was', async () => {
    await history();
    const before = stages.map((stage) => prompts(stage));
    const tools = producer({ generation: { model: 'gone' } });
    const run = await begin(tools);
    faults = llmFaultsFromRules([{ fault: { kind: 'status', status: 404 }, times: 99 }]);
    expect(await failure(generateProduction(tools, { run }, options))).toMatchObject({ code: 'LLM_MODEL_UNKNOWN' });
    expect(stages.map((stage) => prompts(stage))).toEqual(before);
    expect(llm.requests.length).toBeLessThanOrEqual(4);
  });

  it('a run without a key ends before anything is drawn', async () => {
    const tools = producer({ generation: { baseUrl: undefined } });
    const environment = process.env['OPENAI_API_KEY'];
    delete process.env['OPENAI_API_KEY'];
    try {
      const { run } = await decideProduction(tools, { logicalTime, force: false }, options);
      const error = await failure(planProduction(tools, { run, make: 20, logicalTime }, options));
      expect(error).toMatchObject({ code: 'LLM_KEY_MISSING', retryable: false });
    } finally {
      if (environment !== undefined) process.env['OPENAI_API_KEY'] = environment;
    }
  });
});

it('a broken record of a job teaches nothing, and stops nothing', async () => {
  await history();
  const name = baseName(60);
  await world.put('processed', name, { metadata: '{"topic": "har' });
  writeFileSync(world.path('error', `${baseName(61)}.json`), '[1, 2]');
  // Nor do a pipe, which would never end, and a directory.
  execFileSync('mkfifo', [world.path('processed', `${baseName(62)}.json`), world.path('error', `${baseName(63)}.txt`)]);
  await world.put('incoming', baseName(64));
  mkdirSync(world.path('incoming', `${baseName(65)}.txt`));
  const tools = producer();
  const run = await begin(tools, 2);
  expect(JSON.parse(planOf(run))).toMatchObject({ learnedFrom: { sampleCount: 30 } });
  expect(await generateProduction(tools, { run }, options)).toMatchObject({ made: 2, failed: 0 });
});
