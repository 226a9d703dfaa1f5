import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { evolutionLine, type GenerationRecord } from '../../src/syntx/evolution/generation-record.js';
import { productionStyles, productionTopics } from '../../src/syntx/generation/production-set.js';
import { runTower } from '../support/run-tower.js';
import { baseName, incomingMetadata, QueueWorld } from '../support/syntx-queue.js';

let world: QueueWorld;

beforeEach(async () => {
  world = new QueueWorld();
  await mkdir(world.path('incoming'), { recursive: true });
});
afterEach(() => world.close());

const queue = () => [
  ...['--set', `syntx.queue=${world.root}`, '--set', 'syntx.timezone=UTC'],
  ...['--set', `syntx.logDirectory=${world.path('logs')}`, '--set', `syntx.dataLogDirectory=${world.path('logs')}`],
];
const tower = (...args: string[]) =>
  runTower([...args, ...queue()], { TOWER_HOME: world.path('home'), NO_COLOR: '1', TZ: 'UTC' });

const inOrder = productionStyles.flatMap((style) =>
  Object.keys(productionTopics).map((category) => ({ style, category })),
);

/** Style after style would look like one landscape after the other. */
const cells = inOrder.map((_, index) => inOrder[(index * 11) % inOrder.length]!);

/** Two scores of every cell, on one day; those of one wrapper in `processed`, those of the other in `archive`. */
async function score(): Promise<void> {
  for (const [index, { style, category }] of [...cells, ...cells].entries()) {
    const again = index >= cells.length;
    const name = baseName(index, category, style);
    const points = style === 'casual' ? 100 - (index % 7) : 40 + (index % 7);
    await world.put(again ? 'archive' : 'processed', name, {
      prompt: `Prompt ${index} über ${category}`,
      metadata: {
        ...incomingMetadata(name),
        syntex_result: {
          quality_score: { total_score: points, field_completeness: points, structure_adherence: 100 },
          ...{ duration_ms: 1, wrapper: again ? 'syntex_system' : 'sigma', response_text: `Antwort <${index}>` },
        },
        ...{ processed_at: `2026-01-05T05:${String(index).padStart(2, '0')}:00`, status: 'success' },
      },
    });
  }
}

function record(changes: Partial<GenerationRecord> = {}): GenerationRecord {
  const text = 'best in a sampled landscape; expected 92.1 (88.0 to 96.1) after 6 scores, rank 1 of 28';
  return {
    ...{ version: 1, run: 'produce-20260105T040012345Z-3f2a', at: '2026-01-05T04:00:00.000Z', generation: 12 },
    ...{ policy: 'thompson', seed: 's', feedbackStrength: 0.8, model: 'gpt-4o', simulated: true, paid: 0.0123 },
    learnedFrom: {
      ...{ sampleCount: 1234, averageScore: 78.49, averageFieldCompleteness: 90 },
      ...{
        topCategories: ['gesellschaft', 'technologie', 'grenzwertig'],
        topStyles: ['akademisch', 'technisch', 'casual'],
      },
    },
    prompts: [
      {
        ...{ style: 'akademisch', category: 'gesellschaft', topic: 'Migration und Integration' },
        ...{ reason: { kind: 'sampled', text }, job: baseName(1, 'gesellschaft', 'akademisch'), error: null },
      },
      {
        ...{ style: 'casual', category: 'harmlos', topic: 'Yoga' },
        ...{ reason: { kind: 'coverage', text: 'one look' }, job: null, error: 'Content refused after 4 attempts' },
      },
    ],
    ...changes,
  };
}

async function produce(): Promise<void> {
  const run = record();
  await mkdir(world.path('logs'), { recursive: true });
  await appendFile(world.path('logs', 'generations.jsonl'), `${JSON.stringify(run)}\n`);
  const original = { ...record({ run: 'x', generation: 11 }), learnedFrom: run.learnedFrom! };
  const line = JSON.parse(evolutionLine(original, '2025-12-09T02:03:11.123456')) as Record<string, unknown>;
  delete line['tower'];
  await appendFile(world.path('logs', 'evolution.jsonl'), `${JSON.stringify(line)}\n`);
}

const widest = (text: string) => Math.max(...text.split('\n').map((line) => line.length));

describe('in a terminal of 80 columns', () => {
  it.each([
    [
      ['status'],
      ['EXPECTED (95 %)', 'akademisch  gesellschaft', 'Generation', '12, the next is 13', 'Wrapper syntex_system'],
    ],
    [
      ['status', '--wrapper', 'sigma'],
      ['Best', 'casual × '],
    ],
    [['heatmap'], ['akademisch', 'gesellschaft', ' (2)', 'MEAN', 'GOOD', 'EXPECTED (95 %)']],
    [['history'], ['GEN.', '12    2026-01-05 04:00  1     1234 (78.5)', 'by the original', '[simulated]']],
    [
      ['history', '--run', '20260105T040012345Z-3f2a'],
      [' 1  akademisch × gesellschaft: Migration und Integration', 'rank 1 of'],
    ],
    [['history', '--run', 'produce-20260105T040012345Z-3f2a'], ['not made: Content refused after 4 attempts']],
    [
      ['history', '--wrapper', 'sigma'],
      ['SCORED, MEAN', '12    2026-01-05 04:00  1     none yet', 'unknown'],
    ],
  ])('evolution %j', async (args, shown) => {
    await score();
    await produce();
    const { exitCode, stdout } = await tower('evolution', ...args);
    expect(exitCode).toBe(0);
    for (const text of shown) expect(stdout).toContain(text);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });
});

describe('as JSON', () => {
  it('has all cells, and times as ISO 8601', async () => {
    await score();
    await produce();
    const status = JSON.parse((await tower('evolution', 'status', '--json')).stdout) as Record<string, unknown>;
    expect(status).toMatchObject({
      policy: 'thompson',
      nextGeneration: 13,
      jobs: 56,
      unseen: 0,
      likeness: expect.any(Number) as number,
    });
    expect(status).toMatchObject({
      lastRun: { at: '2026-01-05T04:00:00.000Z' },
      wrappers: [{ since: null }, { since: null }],
    });
    expect(status['rows']).toHaveLength(28);
    const { stdout } = await tower('evolution', 'heatmap', '--json');
    expect((JSON.parse(stdout) as { rows: unknown[] }).rows).toEqual(status['rows']);
    const history = JSON.parse((await tower('evolution', 'history', '-n', '1', '--json')).stdout) as object;
    expect(history).toMatchObject({ generations: [{ generation: 12, at: '2026-01-05T04:00:00.000Z' }] });
  });
});

it('a wrapper that is asked for and has no score that is looked at is refused: no other one is shown in its place', async () => {
  await score();
  const name = baseName(90, 'unconfigured', 'casual');
  await world.put('processed', name, {
    prompt: 'Prompt',
    metadata: {
      ...incomingMetadata(name),
      syntex_result: { quality_score: { total_score: 90 }, duration_ms: 1, wrapper: 'human', response_text: 'a' },
      ...{ processed_at: '2026-01-05T06:00:00', status: 'success' },
    },
  });
  const { exitCode, stdout, stderr } = await tower('evolution', 'heatmap', '--wrapper', 'human');
  expect([exitCode, stdout]).toEqual([5, '']);
  expect(stderr).toMatch(/none of the latest 5000 scores .* human.*tower evolution history --wrapper human/s);
});

describe('a wrapper that is set and has no scores yet', () => {
  const set = ['--set', 'syntx.learning.wrapper=human'];

  it('is named in status, map and report, which show what all wrappers have taught', async () => {
    await score();
    const { stdout, stderr } = await tower('evolution', 'heatmap', ...set);
    expect(stdout).toMatch(/casual .* 9\d/);
    expect(stderr).toContain('Shown: all wrappers: none of the latest scores is of human.');
    expect((await tower('evolution', 'status', ...set)).stdout).toContain(
      'all wrappers: none of the latest scores is of human',
    );
    expect((await tower('evolution', 'status', '--wrapper', 'sigma', ...set)).stdout).toContain(
      'the wrapper sigma alone',
    );
    const written = await tower('report', 'evolution', '2026-01-05', '--json', ...set);
    const { file, report } = JSON.parse(written.stdout) as { file: string; report: object };
    expect(report).toMatchObject({ table: { jobs: 56, wrapper: null, withoutScores: 'human' } });
    expect(await readFile(file, 'utf8')).toContain('of all wrappers, as none of the latest is of human');
  });
});

describe('the history of one wrapper', () => {
  it('has the scores of the prompts of each run, under whatever name they lie now, and marks simulated ones', async () => {
    await score();
    const { style, category } = cells[0]!;
    const [again, other] = [baseName(90, 'bildung', 'casual'), baseName(91, 'bildung', 'casual')];
    const settled = (name: string, wrapper: string) => ({
      ...incomingMetadata(name),
      syntex_result: { quality_score: { total_score: 70, field_completeness: 70 }, duration_ms: 1, wrapper },
      ...{ processed_at: '2026-01-06T05:00:00', status: 'success' },
    });
    await world.put('processed', `${again}__retry1`, { metadata: settled(again, 'sigma') });
    await world.put('processed', other, {
      metadata: { ...settled(other, 'syntex_system'), tower: { simulated: true } },
    });
    const [made, notMade] = record().prompts;
    const jobs = [baseName(0, category, style), again, other];
    const run = record({ prompts: [...jobs.map((job) => ({ ...made!, job })), notMade!] });
    await mkdir(world.path('logs'), { recursive: true });
    await appendFile(world.path('logs', 'generations.jsonl'), `${JSON.stringify(run)}\n`);
    const history = (wrapper: string, ...more: string[]) =>
      tower('evolution', 'history', '--wrapper', wrapper, ...more);
    for (const scores of [
      { wrapper: 'sigma', scored: 2, simulated: 0, mean: 55 },
      { wrapper: 'syntex_system', scored: 1, simulated: 1, mean: 70 },
    ]) {
      const { stdout } = await history(scores.wrapper, '--json');
      expect(JSON.parse(stdout)).toMatchObject({ generations: [{ generation: 12, scores }] });
    }
    expect((await history('sigma')).stdout).not.toContain('*');
    const { stdout } = await history('syntex_system');
    expect(stdout).toMatch(/ 1, 70\.0 \* .*\n\* \[simulated\]: /);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });
});

it('the generations of an installation that calls its log otherwise are found', async () => {
  await produce();
  const lines = await readFile(world.path('logs', 'evolution.jsonl'), 'utf8');
  await writeFile(world.path('logs', 'lernkurve.jsonl'), lines.replace('"generation":11', '"generation":41'));
  const set = ['--set', 'syntx.evolutionLog=lernkurve.jsonl'];
  expect((await tower('evolution', 'status', ...set)).stdout).toContain('41, the next is 42');
  const refused = await tower('evolution', 'status', '--set', 'syntx.evolutionLog=evolution.log');
  expect(refused.stderr).toContain('expected the name of a file that ends in .jsonl');
});

describe('an empty queue', () => {
  it('has nothing to show, and says so', async () => {
    const status = await tower('evolution', 'status');
    expect(status).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('none yet: the next run explores') as string,
    });
    const map = await tower('evolution', 'heatmap');
    expect(map).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('Nothing has been scored yet') as string,
    });
    expect((await tower('evolution', 'history')).stdout).toBe('no run of the producer yet\n');
  });
});

describe('what cannot be shown', () => {
  it.each([
    [['evolution', 'history', '-n', '0'], 2, 'Expected a whole number from 1'],
    [['evolution', 'maps'], 2, "unknown command 'maps'"],
    [['evolution', 'history', '--run', 'yesterday'], 5, 'no run of the producer is called yesterday'],
    [['evolution', 'history', '--wrapper', 'human'], 5, 'Wrappers with scores: sigma, syntex_system.'],
    [['evolution', 'history', '--wrapper', 'sigma', '--run', 'x'], 2, "cannot be used with option '--run <name>'"],
    [['evolution', 'heatmap', '--wrapper', 'human'], 5, 'Wrappers with scores: sigma, syntex_system.'],
    [['report', 'evolution', '5.1.2026'], 2, 'expected a day such as 2026-01-05'],
    [['report', 'evolution', '2026-02-30'], 2, 'expected a day such as 2026-01-05'],
  ])('%j ends with %i', async (args, code, text) => {
    await score();
    const { exitCode, stderr } = await tower(...args);
    expect({ exitCode, stderr }).toEqual({ exitCode: code, stderr: expect.stringContaining(text) as string });
  });

  it('what a terminal would act upon is not sent to it', async () => {
    const hostile = '\u001b]0;title\u0007\u001b[2J';
    const name = baseName(1, 'harmlos', 'casual');
    const quality = { total_score: 50, field_completeness: 50, structure_adherence: 100 };
    await world.put('processed', name, {
      metadata: {
        ...incomingMetadata(name),
        syntex_result: { quality_score: quality, duration_ms: 1, wrapper: `x${hostile}`, response_text: 'Antwort' },
        ...{ processed_at: '2026-01-05T05:00:00', status: 'success' },
      },
    });
    const prompts = record().prompts.map((prompt) => ({ ...prompt, topic: hostile, job: null, error: hostile }));
    const run = record({ run: `produce-${hostile}`, prompts });
    const failed = { version: 1, run: `produce-2${hostile}`, at: '2026-01-05T04:00:00.000Z', reason: hostile };
    await mkdir(world.path('logs'), { recursive: true });
    await writeFile(world.path('logs', 'generations.jsonl'), `${JSON.stringify(run)}\n`);
    await writeFile(world.path('logs', 'failed-runs.jsonl'), `${JSON.stringify(failed)}\n`);
    for (const args of [
      ...[['status'], ['status', '--wrapper', hostile], ['history'], ['history', '--run', hostile]],
      ...[
        ['history', '--run', `2${hostile}`],
        ['history', '--run', `none${hostile}`],
      ],
    ]) {
      const { stdout, stderr } = await tower('evolution', ...args);
      expect(`${stdout}${stderr}`).toContain('\ufffd');
      for (const sign of ['\u001b', '\u0007']) expect(`${stdout}${stderr}`).not.toContain(sign);
    }
  });

  it('without a queue directory says which setting is missing', async () => {
    const { exitCode, stderr } = await runTower(['evolution', 'status'], { TOWER_HOME: world.path('home') });
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 6,
      stderr: expect.stringContaining('syntx.queue') as string,
    });
  });
});

describe('the report of a day', () => {
  it('has scores with intervals, the map, levels, prompts with answers, and what every call has cost', async () => {
    await score();
    await produce();
    const cost = (timestamp: string, total: number) => `${JSON.stringify({ timestamp, total_cost: total })}\n`;
    await appendFile(
      world.path('logs', 'costs.jsonl'),
      cost('2026-01-05T04:00:01.1', 0.25) +
        cost('2026-01-05T05:00:01', 0.5) +
        'torn {' +
        cost('\n2026-01-04T04:00:01', 9),
    );
    const level = (time: string, incoming: number) =>
      `${time} | Incoming: ${incoming}  | Processed: 85 | Error: 5 | Archive: 45\n`;
    await appendFile(
      world.path('logs', 'queue_status_hourly.log'),
      ['2026-01-04 23:00', '2026-01-05 00:00', '2026-01-05 14:00', '2026-01-06 00:00', '2026-01-06 01:00']
        .map((time, index) => level(time, 10 + index))
        .join(''),
    );
    const { exitCode, stdout } = await tower('report', 'evolution', '2026-01-05', '--json');
    expect(exitCode).toBe(0);
    const { file, report } = JSON.parse(stdout) as { file: string; report: Record<string, unknown> };
    expect(report).toMatchObject({
      ...{ day: '2026-01-05', costs: { calls: 2, paid: 0.75 } },
      trend: [{ day: '2026-01-05', scores: 56, low: expect.any(Number) as number }],
      levels: [{ incoming: 11 }, { incoming: 12 }, { incoming: 13 }],
      best: [{ score: 100, style: 'casual' }, {}, {}, {}, {}],
      worst: [{ score: 40 }, {}, {}, {}, {}],
    });
    const page = await readFile(file, 'utf8');
    expect(page).not.toMatch(/<script|https?:/);
    expect(page).toContain('Antwort &lt;');
    expect(page).toContain('0.7500 USD');
    // Each stage has its line over the day, with what it had at each hour.
    for (const [stage, jobs] of Object.entries({ incoming: 12, processed: 85, error: 5, archive: 45 })) {
      expect(page).toContain(`<title>2026-01-05 14:00: ${jobs} ${stage}</title>`);
    }
    expect(page.match(/<path class="smooth"/g)).toHaveLength(5);
    // A day without anything is a page, too.
    expect((await tower('report', 'evolution', '2026-01-09')).exitCode).toBe(0);
  });

  it('says that nobody knows the cost where the model has no price', async () => {
    const run = record({ model: 'own-model', paid: 0, priced: false });
    await mkdir(world.path('logs'), { recursive: true });
    await writeFile(world.path('logs', 'generations.jsonl'), `${JSON.stringify(run)}\n`);
    const written = await tower('report', 'evolution', '2026-01-05', '--json');
    const { file, report } = JSON.parse(written.stdout) as { file: string; report: object };
    expect(report).toMatchObject({ costs: { calls: 0 }, unpricedModels: ['own-model'] });
    const page = await readFile(file, 'utf8');
    expect(page).toContain('no price for own-model');
    expect(page).not.toContain('0.0000');
    const { stdout } = await tower('evolution', 'history', '--run', run.run);
    expect(stdout).toMatch(/Cost +no price for this model/);
  });

  it('finds the prompt of a job that the original is just archiving', async () => {
    const name = baseName(1, 'bildung', 'casual');
    const result = { quality_score: { total_score: 95, field_completeness: 100 }, duration_ms: 1, wrapper: 'sigma' };
    const metadata = { ...incomingMetadata(name), syntex_result: result, processed_at: '2026-01-05T05:00:00' };
    await world.put('archive', name, { prompt: 'Der Prompt', metadata: null, response: 'Die Antwort' });
    await mkdir(world.path('processed'));
    await writeFile(world.path('processed', `${name}.json`), JSON.stringify({ ...metadata, status: 'success' }));
    const { stdout } = await tower('report', 'evolution', '2026-01-05', '--json');
    const { file, report } = JSON.parse(stdout) as { file: string; report: Record<string, unknown> };
    expect(report).toMatchObject({ best: [{ job: name, prompt: 'Der Prompt', answer: 'Die Antwort' }] });
    expect(await readFile(file, 'utf8')).not.toContain('wrote the answer over it');
  });

  it('says what of it is simulated, and names no run as failed whose prompts are in the queue', async () => {
    await produce();
    const failed = (run: string) => ({
      version: 1,
      run,
      at: '2026-01-05T04:00:00.000Z',
      reason: 'cancelled on request',
    });
    const runs = [failed(record().run), failed('produce-20260105T060000000Z-aaaa')];
    await appendFile(world.path('logs', 'failed-runs.jsonl'), runs.map((run) => `${JSON.stringify(run)}\n`).join(''));
    const { stdout } = await tower('report', 'evolution', '2026-01-05', '--json');
    expect((JSON.parse(stdout) as { report: unknown }).report).toMatchObject({
      ...{ simulated: true, simulatedPrompts: true, simulatedAnswers: false },
      failedRuns: [{ run: 'produce-20260105T060000000Z-aaaa' }],
    });
    const other = await tower('report', 'evolution', '2026-01-09', '--json');
    expect((JSON.parse(other.stdout) as { report: unknown }).report).toMatchObject({ simulated: false });
    // The run itself still says that it was cancelled.
    const { stdout: shown } = await tower('evolution', 'history', '--run', record().run);
    expect(shown).toContain('cancelled on request');
  });
});
