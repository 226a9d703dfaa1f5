import { appendFileSync, mkdirSync, readFileSync, utimesSync } from 'node:fs';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SyntxLogs } from '../../src/syntx/logs/syntx-logs.js';
import { failure } from '../support/server-faults.js';
import { QueueWorld } from '../support/syntx-queue.js';

let world: QueueWorld;
let logs: SyntxLogs;

beforeEach(() => {
  world = new QueueWorld();
  const now = () => new Date('2026-01-05T03:00:00.250Z');
  logs = new SyntxLogs({
    cronDirectory: world.path('cron'),
    dataDirectory: world.path('data'),
    timeZone: 'Europe/Berlin',
    now,
  });
});
afterEach(() => world.close());

const log = (name: string) => readFileSync(world.path('cron', name), 'utf8');
const data = (name: string) => readFileSync(world.path('data', name), 'utf8').trim().split('\n');

const producer = {
  ...{
    generation: 5,
    policy: 'thompson',
    learnedFrom: 25,
    good: { jobs: 20, minimumScore: 90, averageScore: 97 },
    patterns: ['casual', 'gesellschaft'],
    written: 1,
  },
  prompts: [
    { category: 'gesellschaft', topic: 'Klimawandel', style: 'casual', error: null },
    { category: 'bildung', topic: 'Mathematik', style: 'casual', error: 'Content refused after 4 attempts' },
  ],
};

it('a producer run is the guide’s block, once', async () => {
  await logs.producerRun('produce/1', producer);
  await logs.producerRun('produce/1', producer);
  expect(log('producer_cron.log')).toBe(`🧬 SYNTX EVOLUTIONARY PRODUCER - Generation 5
   Run: produce/1
📚 PHASE 1: LEARNING FROM PROCESSED/
   ✅ Found 20 high-quality jobs (score >= 90)
   📊 Avg Score: 97/100
   📊 Patterns: casual, gesellschaft

🎨 PHASE 2: GENERATING 2 OPTIMIZED PROMPTS
   [1/2] gesellschaft: Klimawandel (casual) ✅
   [2/2] bildung: Mathematik (casual) ❌ Content refused after 4 attempts

📝 PHASE 3: WRITING 1 PROMPTS TO QUEUE
   ✅ Written: 1 to queue/incoming/

📊 GENERATION 5 SUMMARY:
   Learned from: 25 jobs
   Generated: 1/2 successful
   Written to Queue: 1

`);
  await logs.producerRun('produce/12', { ...producer, learnedFrom: 0 });
  await logs.producerSkipped('produce/13', '30 prompts wait, more than 24');
  expect(log('producer_cron.log')).toContain('has a score yet: random topics and styles');
  expect(log('producer_cron.log')).toContain('Nothing generated: 30 prompts wait, more than 24');
});

it('a run that was not finished says what it keeps, and has its block once it is published', async () => {
  await logs.producerSkipped('produce/1', 'cancelled on request', 7);
  await logs.producerSkipped('produce/1', 'cancelled on request', 7);
  expect(log('producer_cron.log')).toBe(`🧬 SYNTX EVOLUTIONARY PRODUCER
   Run: produce/1
   ⏸️ Not finished: cancelled on request; 7 prompts are kept, the next run publishes them

`);
  await logs.producerRun('produce/1', producer);
  await logs.producerRun('produce/1', producer);
  expect(log('producer_cron.log').match(/PRODUCER - Generation 5/g)).toHaveLength(1);
});

it('a consumer run is the guide’s block, entry by entry, each once', async () => {
  const consumer = { run: 'consume/1', wrapper: 'syntex_system' };
  const entries = async () => {
    await logs.consumerStarted('consume/1', { workerId: 'cron_syntex', wrapper: 'syntex_system', batchSize: 20 });
    await logs.consumedJob(consumer, { baseName: 'prompt_001', stage: 'processed', score: 96, reason: null });
    await logs.consumedJob(consumer, { baseName: 'prompt_020', stage: 'error', score: 45, reason: 'score 45 < 90' });
    await logs.consumedJob(consumer, {
      baseName: 'prompt_021__retry1',
      stage: 'error',
      score: null,
      reason: 'Timeout after 1800s',
    });
    await logs.consumerEnded(consumer, { processed: 18, failed: 2 });
  };
  await entries();
  await entries();
  expect(log('consumer_syntex_cron.log')).toBe(`🔧 Consumer [cron_syntex] initialized (wrapper: syntex_system)
   Run: consume/1
🚀 Starting batch processing (max: 20 jobs)

Processing: prompt_001.txt
   ✅ Score: 96/100 → processed/
Processing: prompt_020.txt
   ❌ Score: 45/100 → error/
Processing: prompt_021.txt
   ❌ Timeout after 1800s → error/

📊 BATCH COMPLETE:
   Processed: 18/20 (90% success!)
   Failed: 2/20

`);
  // The same job in a later run is another entry.
  await logs.consumerStarted('consume/2', { workerId: 'cron_syntex', wrapper: 'syntex_system', batchSize: 20 });
  await logs.consumedJob(
    { ...consumer, run: 'consume/2' },
    { baseName: 'prompt_001', stage: 'processed', score: 96, reason: null },
  );
  await logs.consumerEnded({ ...consumer, run: 'consume/2' }, { processed: 0, failed: 0 });
  expect(log('consumer_syntex_cron.log').match(/prompt_001/g)).toHaveLength(2);
  expect(log('consumer_syntex_cron.log')).toContain('Processed: 0/0\n');
});

it('a name with line ends and colours stays one line, and is written once', async () => {
  const consumer = { run: 'consume/1', wrapper: 'sigma' };
  const job = { baseName: 'a\n   ✅ Score: 100/100\u001b[32m', stage: 'error', score: null, reason: 'empty\nline' };
  await logs.consumerStarted('consume/1', { workerId: 'cron_sigma', wrapper: 'sigma', batchSize: 1 });
  for (let repeat = 1; repeat <= 2; repeat++) await logs.consumedJob(consumer, job);
  expect(log('consumer_sigma_cron.log').split('\n').slice(4)).toEqual([
    'Processing: a\ufffd   ✅ Score: 100/100\ufffd[32m.txt',
    '   ❌ empty line → error/',
    '',
  ]);
});

it('each wrapper has its own log', async () => {
  for (const wrapper of ['sigma', 'human']) await logs.consumerStarted('run', { workerId: 'w', wrapper, batchSize: 1 });
  expect(world.names('cron')).toEqual(['consumer_human_cron.log', 'consumer_sigma_cron.log']);
});

it('the hourly line is the guide’s, in local time, once an hour, twice in the hour that comes twice', async () => {
  const text = 'Incoming: 8  | Processed: 89 | Error: 5 | Archive: 45';
  const time = new Date('2026-10-25T00:00:30Z');
  await logs.monitor(time, text);
  await logs.monitor(time, text);
  expect(log('queue_status_hourly.log')).toBe(`2026-10-25 02:00 | ${text}\n`);
  // An hour later the clock shows the same.
  utimesSync(world.path('cron', 'queue_status_hourly.log'), new Date(), new Date(Date.now() - 3_600_000));
  await logs.monitor(new Date('2026-10-25T01:00:30Z'), text);
  expect(log('queue_status_hourly.log').trim().split('\n')).toHaveLength(2);
});

it('what was cleaned is listed', async () => {
  await logs.cleanup('clean/1', ['🗑️ old log /x.log (2200 h)']);
  await logs.cleanup('clean/2', [], true);
  expect(log('cleanup.log')).toContain('🧹 QUEUE CLEANUP\n   Run: clean/1\n   🗑️ old log /x.log (2200 h)\n');
  // A run that is repeated adds what it finds beside.
  for (let repeat = 1; repeat <= 2; repeat++) {
    await logs.cleanup('clean/2', [], true);
    await logs.cleanup('clean/3', ['🗑️ temporary file /a (25 h)']);
    await logs.cleanup('clean/3', ['🗑️ temporary file /a (25 h)', '🗑️ temporary file /b (25 h)']);
  }
  expect(log('cleanup.log').match(/\/a \(25 h\)/g)).toHaveLength(1);
  expect(log('cleanup.log').match(/\/b \(25 h\)/g)).toHaveLength(1);
  expect(log('cleanup.log')).toContain('(dry run: nothing is changed)\n   Run: clean/2\n   ✅ Nothing to clean\n');
});

it('that cannot be written says which, and is not tried again and again', async () => {
  mkdirSync(world.path('cron', 'producer_cron.log'), { recursive: true });
  expect(await failure(logs.producerSkipped('produce/1', 'x'))).toMatchObject({
    ...{ code: 'LOG_FORBIDDEN', retryable: false, message: expect.stringContaining('producer_cron.log') as string },
  });
});

describe('lines of JSON', () => {
  const cost = {
    inputTokens: 180,
    outputTokens: 500,
    inputCost: 0.00045,
    outputCost: 0.005,
    totalCost: 0.00545,
    currency: 'USD',
  };

  it('have the keys of the original in local time, once for each call', async () => {
    for (const key of ['a', 'a', 'b']) await logs.cost({ key, ...cost });
    await logs.generation('a', { success: true, prompt_in: 'x', prompt_out: 'y', retry_count: 0 });
    expect(data('costs.jsonl').map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { tower_call: 'a' },
      { tower_call: 'b' },
    ]);
    expect(Object.keys(JSON.parse(data('costs.jsonl')[0] ?? '') as object)).toEqual([
      ...[
        'timestamp',
        'input_tokens',
        'output_tokens',
        'input_cost',
        'output_cost',
        'total_cost',
        'currency',
        'tower_call',
      ],
    ]);
    expect(JSON.parse(data('gpt_prompts.jsonl')[0] ?? '')).toEqual({
      ...{ timestamp: '2026-01-05T04:00:00.250000', success: true, prompt_in: 'x', prompt_out: 'y', retry_count: 0 },
      tower_call: 'a',
    });
  });

  it('begin anew after a torn line', async () => {
    await logs.cost({ key: 'a', ...cost });
    appendFileSync(world.path('data', 'costs.jsonl'), '{"timestamp":"20');
    await logs.cost({ key: 'b', ...cost });
    const all = data('costs.jsonl');
    expect(all).toHaveLength(3);
    expect(JSON.parse(all[2] ?? '')).toMatchObject({ tower_call: 'b' });
  });

  it('of several writers at the same time stay whole', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, index) => logs.cost({ key: `run#${index}`, ...cost })));
    expect(
      new Set(data('costs.jsonl').map((line) => (JSON.parse(line) as { tower_call: string }).tower_call)).size,
    ).toBe(100);
  });
});
