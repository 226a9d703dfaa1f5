import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { runTower } from '../support/run-tower.js';
import { baseName, goodAnswer, incomingMetadata, poorAnswer, QueueWorld, scoreOf } from '../support/syntx-queue.js';

let world: QueueWorld;
let home: string;
beforeEach(async () => {
  world = new QueueWorld();
  home = mkdtempSync(join(tmpdir(), 'tower-'));
  for (const stage of ['incoming', 'processing', 'processed', 'error', 'archive']) {
    await mkdir(world.path(stage), { recursive: true });
  }
});
afterEach(() => {
  world.close();
  rmSync(home, { recursive: true, force: true });
});

const settings = () => ['--set', `syntx.queue=${world.root}`, '--set', 'syntx.timezone=UTC'];
const environment = () => ({ TOWER_HOME: home, NO_COLOR: '1', TZ: 'UTC' });

/** For people. */
const tower = (...args: string[]) => runTower([...args, ...settings()], environment());

async function towerJson(...args: string[]): Promise<{ exitCode: number; result: Record<string, unknown> }> {
  const { exitCode, stdout } = await tower(...args, '--json');
  return { exitCode, result: JSON.parse(stdout) as Record<string, unknown> };
}

const failedName = (index: number, retries = 1) => `${baseName(index)}__retry${retries}`;

function failed(index: number, error = 'HTTPError: Server Error 502'): Record<string, unknown> {
  const lastError = { error, duration_ms: 12, worker_id: 'cron_sigma', wrapper: 'sigma' };
  return incomingMetadata(baseName(index), { retry_count: 1, last_error: lastError, status: 'error' });
}

/** A job with an answer and its score, as it lies in `processed`, or in `error` when the score is low. */
function answered(index: number, answer: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return incomingMetadata(baseName(index), {
    syntex_result: {
      ...{ quality_score: scoreOf(answer), duration_ms: 36_454, session_id: '519c9a2e', wrapper: 'sigma' },
      ...{ worker_id: 'cron_sigma', response_text: answer },
    },
    ...{ processed_at: '2026-01-05T04:01:02.643493', status: 'success', ...changes },
  });
}

const low = (index: number) =>
  answered(index, poorAnswer, { status: 'error', last_error: { error: 'score 14 < 90', wrapper: 'sigma' } });

describe('tower queue retry', () => {
  beforeEach(async () => {
    await world.put('error', failedName(1), { metadata: failed(1) });
    await world.put('error', failedName(2), { metadata: failed(2, 'Timeout after 1800s') });
    await world.put('error', baseName(3), { metadata: low(3) });
  });

  it('puts failed jobs back and leaves low scores, which are no fault of the command', async () => {
    expect(await towerJson('queue', 'retry')).toEqual({
      exitCode: 0,
      result: {
        requeued: [failedName(1), failedName(2)],
        skipped: [{ baseName: baseName(3), reason: 'it was scored; --scored retries it all the same' }],
      },
    });
    expect(world.names('error')).toEqual([`${baseName(3)}.json`, `${baseName(3)}.txt`]);
    // What the original's own retry would put there: name and count of its failures stay.
    expect(world.metadata('incoming', failedName(1))).toMatchObject({ retry_count: 1, filename: `${baseName(1)}.txt` });
    expect(world.faults()).toEqual([]);
  });

  it('with --scored low scores too: they wait without a score, and keep what they had', async () => {
    const { exitCode, stdout } = await tower('queue', 'retry', '--scored');
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '3 jobs wait again, 0 left where they are\n' });
    const metadata = world.metadata('incoming', baseName(3));
    expect(metadata).not.toHaveProperty('syntex_result');
    expect(metadata).not.toHaveProperty('processed_at');
    expect(metadata).toMatchObject({
      tower: {
        earlier_results: [{ syntex_result: { response_text: poorAnswer, quality_score: scoreOf(poorAnswer) } }],
      },
    });
    expect(await tower('queue', 'retry', '--scored')).toMatchObject({ exitCode: 0, stdout: 'nothing is in error\n' });
    expect(world.faults()).toEqual([]);
  });

  it('of a part of the names only; one that nobody has says so', async () => {
    await world.put('error', failedName(4, 2), { metadata: failed(4) });
    expect(await towerJson('queue', 'retry', '__retry2')).toMatchObject({ result: { requeued: [failedName(4, 2)] } });
    expect(await tower('queue', 'retry', 'nowhere')).toMatchObject({
      exitCode: 0,
      stdout: 'no job in error has nowhere in its name\n',
    });
    expect(world.names('incoming')).toHaveLength(2);
  });

  it('what cannot go back stays, with its reason, and the exit code says that not all was done', async () => {
    await world.put('incoming', failedName(1), { prompt: 'another of this name' });
    await world.put('processing', failedName(2), { prompt: 'another of this name' });
    await world.put('error', failedName(5), { metadata: '{"topic": ' });
    await world.put('error', failedName(6), { metadata: null });
    await mkdir(world.path('error', `${failedName(7)}.txt`));
    await world.put('error', failedName(8), { metadata: failed(8) });
    expect(await towerJson('queue', 'retry')).toEqual({
      exitCode: 3,
      result: {
        requeued: [failedName(8)],
        skipped: [
          { baseName: failedName(1), reason: 'a job of this name is in incoming' },
          { baseName: failedName(2), reason: 'a job of this name is in processing' },
          { baseName: baseName(3), reason: 'it was scored; --scored retries it all the same' },
          { baseName: failedName(5), reason: expect.stringContaining('the metadata is no JSON') as string },
          { baseName: failedName(6), reason: 'it has no metadata' },
          { baseName: failedName(7), reason: 'the prompt is no plain file' },
        ],
      },
    });
    expect(world.text('incoming', `${failedName(1)}.txt`)).toBe('another of this name');
    expect(world.names('error').filter((name) => name.endsWith('.txt'))).toHaveLength(6);
  });
});

describe('tower queue show', () => {
  it('of a name that is in two stages takes the stage, as it says', async () => {
    await world.put('incoming', baseName(1), { prompt: 'the waiting one' });
    await world.put('error', baseName(1), { prompt: 'the failed one', metadata: low(1) });
    const { exitCode, stderr } = await tower('queue', 'show', baseName(1));
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`incoming/${baseName(1)}, error/${baseName(1)}`);
    expect(stderr).toContain('with its stage');
    for (const [stage, prompt] of [
      ['incoming', 'the waiting one'],
      ['error', 'the failed one'],
    ] as const) {
      const { result } = await towerJson('queue', 'show', `${stage}/${baseName(1)}`);
      expect(result).toMatchObject({ place: stage, prompt });
    }
    // A path that a shell has completed, and a stage that the job has left.
    const path = world.path('error', `${baseName(1)}.txt`);
    expect((await towerJson('queue', 'show', path)).result).toMatchObject({ place: 'error' });
    await world.put('processed', baseName(2), { metadata: answered(2, goodAnswer) });
    const moved = await towerJson('queue', 'show', `processing/${baseName(2)}`);
    expect(moved.result).toMatchObject({ place: 'processed' });
  });
});

describe('tower queue requeue', () => {
  it('takes jobs from every place, by base name, file name or path', async () => {
    await world.put('processed', baseName(1), { metadata: answered(1, goodAnswer), response: goodAnswer });
    await world.put('archive', baseName(2), { metadata: answered(2, goodAnswer) });
    await world.put('error', baseName(3), { metadata: low(3) });
    await world.put('.broken', baseName(4));
    const named = [baseName(1), `${baseName(2)}.json`, world.path('error', `${baseName(3)}.txt`), `${baseName(4)}.txt`];
    expect(await towerJson('queue', 'requeue', ...named)).toEqual({
      exitCode: 0,
      result: { requeued: [1, 2, 3, 4].map((index) => baseName(index)), skipped: [] },
    });
    expect(world.names('incoming').filter((name) => name.endsWith('.txt'))).toHaveLength(4);
    expect(world.names('processed')).toEqual([]);
    expect(world.metadata('incoming', baseName(1))).not.toHaveProperty('syntex_result');
    expect(world.faults()).toEqual([]);
  });

  it('takes all files of a job, as a shell names them, for one job', async () => {
    await world.put('processed', baseName(1), { metadata: answered(1, goodAnswer), response: goodAnswer });
    const files = world.names('processed').map((name) => world.path('processed', name));
    expect(files).toHaveLength(3);
    expect(await towerJson('queue', 'requeue', ...files)).toEqual({
      exitCode: 0,
      result: { requeued: [baseName(1)], skipped: [] },
    });
  });

  it('says of each that it cannot put back why, and of none that nothing was done', async () => {
    await world.put('processed', baseName(1), { metadata: answered(1, goodAnswer) });
    await world.put('incoming', baseName(2));
    await world.put('processing', baseName(3));
    await world.put('archive', baseName(4), { metadata: answered(4, goodAnswer) });
    await world.put('incoming', baseName(4), { prompt: 'another of this name' });
    const some = await towerJson('queue', 'requeue', baseName(1), baseName(2), baseName(3), baseName(4), 'no-such-job');
    expect(some).toEqual({
      exitCode: 3,
      result: {
        requeued: [baseName(1)],
        skipped: [
          { baseName: baseName(2), reason: 'it waits in incoming already' },
          { baseName: baseName(3), reason: 'it is being worked on in processing' },
          { baseName: baseName(4), reason: 'a job of this name is in incoming' },
          { baseName: 'no-such-job', reason: 'no such job in error, processed, archive, broken' },
        ],
      },
    });
    const none = await tower('queue', 'requeue', 'no-such-job');
    expect(none).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('0 jobs wait again, 1 left') as string });
    expect(world.text('incoming', `${baseName(4)}.txt`)).toBe('another of this name');
    expect(world.names('archive')).toHaveLength(2);
  });
});

describe('tower queue import', () => {
  let source: QueueWorld;
  beforeEach(() => {
    source = new QueueWorld();
  });
  afterEach(() => source.close());

  it('copies a queue stage for stage; again, it adds nothing, and that is no fault', async () => {
    await source.put('incoming', baseName(1));
    await source.put('processing', baseName(2));
    await source.put('processed', baseName(3), { metadata: answered(3, goodAnswer), response: goodAnswer });
    await source.put('error', failedName(4), { metadata: failed(4) });
    await source.put('archive', baseName(5), { metadata: answered(5, goodAnswer) });
    const before = new Map(
      ['incoming', 'processing', 'processed', 'error', 'archive'].map((stage) => [stage, source.names(stage)]),
    );
    const { exitCode, result } = await towerJson('queue', 'import', source.root);
    expect({ exitCode, result }).toEqual({
      exitCode: 0,
      result: {
        imported: [
          { baseName: baseName(1), place: 'incoming' },
          { baseName: baseName(2), place: 'incoming' },
          { baseName: baseName(3), place: 'processed' },
          { baseName: failedName(4), place: 'error' },
          { baseName: baseName(5), place: 'archive' },
        ],
        skipped: [],
      },
    });
    expect(world.text('processed', `${baseName(3)}_response.txt`)).toBe(goodAnswer);
    const again = await tower('queue', 'import', source.root);
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toContain('0 jobs imported, 5 left out');
    expect(again.stdout).toContain('a job of this name is here');
    for (const [stage, names] of before) expect(source.names(stage)).toEqual(names);
    expect(await towerJson('queue', 'status')).toMatchObject({
      result: { counts: { incoming: { jobs: 2 }, processed: { jobs: 1 }, error: { jobs: 1 }, archive: { jobs: 1 } } },
    });
  });

  it('from a directory with broken files it takes what is whole, names the rest, and never waits for a pipe', async () => {
    await source.put('incoming', baseName(1), { metadata: '{' });
    await source.put('incoming', baseName(2), { metadata: '' });
    await source.put('incoming', baseName(3), { prompt: '' });
    await mkdir(source.path('incoming', `${baseName(4)}.txt`));
    await source.put('incoming', baseName(5), { metadata: null });
    await mkdir(source.path('incoming', `${baseName(5)}.json`));
    execFileSync('mkfifo', [source.path('incoming', `${baseName(6)}.txt`)]);
    await writeFile(source.path('incoming', `${baseName(7)}.txt`), Buffer.from([0x50, 0xff, 0xfe]));
    await symlink('/etc/hostname', source.path('incoming', `${baseName(8)}.txt`));
    await source.put('incoming', baseName(9));
    await source.put('processed', baseName(10), { metadata: answered(10, goodAnswer) });
    execFileSync('mkfifo', [source.path('processed', `${baseName(10)}_response.txt`)]);
    await source.put('processed', baseName(11), { metadata: answered(11, goodAnswer) });
    await mkdir(source.path('processed', `${baseName(11)}_response.txt`));
    await source.put('processed', baseName(12), { metadata: answered(12, goodAnswer), response: goodAnswer });
    // The names of two are taken here, in whatever place.
    await source.put('incoming', baseName(13), { prompt: 'theirs' });
    await world.put('archive', baseName(13), { prompt: 'ours' });

    const { exitCode, result } = await towerJson('queue', 'import', source.root);
    expect(exitCode).toBe(3);
    expect(result['imported']).toEqual([
      { baseName: baseName(9), place: 'incoming' },
      { baseName: baseName(12), place: 'processed' },
    ]);
    const file = (stage: string, index: number) => source.path(stage, `${baseName(index)}.txt`);
    expect(result['skipped']).toEqual([
      { file: file('incoming', 1), reason: expect.stringContaining('the metadata is no JSON') as string },
      { file: file('incoming', 2), reason: 'the metadata is empty' },
      { file: file('incoming', 3), reason: 'the prompt is empty' },
      { file: file('incoming', 4), reason: 'the prompt is no plain file' },
      { file: file('incoming', 5), reason: 'the metadata are no plain file' },
      { file: file('incoming', 6), reason: 'the prompt is no plain file' },
      { file: file('incoming', 7), reason: 'the prompt is no UTF-8' },
      { file: file('incoming', 8), reason: 'the prompt is no plain file' },
      { file: file('incoming', 13), reason: 'a job of this name is here' },
      { file: file('processed', 10), reason: 'the answer is no plain file' },
      { file: file('processed', 11), reason: 'the answer is no plain file' },
    ]);
    expect(world.text('archive', `${baseName(13)}.txt`)).toBe('ours');
    expect(world.faults()).toEqual([]);
  });

  it('describes bare prompts as it is told, once', async () => {
    await writeFile(source.path('idee.txt'), 'Erkläre Katzen.');
    await writeFile(source.path('zweite.txt'), 'Erkläre Hunde.');
    const bare = await towerJson('queue', 'import', source.root, '--category', 'harmlos');
    expect(bare).toMatchObject({
      exitCode: 3,
      result: { imported: [], skipped: [{ reason: 'a bare prompt needs a category and a style' }, {}] },
    });
    const described = ['queue', 'import', source.root, '--category', 'harmlos', '--style', 'casual'];
    const { exitCode, stdout } = await tower(...described);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '2 jobs imported, 0 left out\n' });
    const [name = ''] = world.names('incoming').filter((entry) => entry.endsWith('.json'));
    expect(world.metadata('incoming', name.replace(/\.json$/, ''))).toMatchObject({
      category: 'harmlos',
      style: 'casual',
    });
    expect(await towerJson(...described)).toMatchObject({
      exitCode: 0,
      result: { imported: [], skipped: [{ reason: 'it has been imported before' }, {}] },
    });
  });

  it('from a place that is no folder it changes nothing', async () => {
    await writeFile(source.path('prompt.txt'), 'x');
    for (const place of [source.path('nowhere'), source.path('prompt.txt')]) {
      expect(await towerJson('queue', 'import', place)).toMatchObject({
        exitCode: 5,
        result: { error: { code: 'IMPORT_SOURCE_MISSING', message: `there is no folder at ${place}` } },
      });
    }
    expect(world.names('incoming')).toEqual([]);
  });
});

describe('wrong arguments and a queue that cannot be used', () => {
  it.each([
    [['queue', 'requeue'], "missing required argument 'jobs'"],
    [['queue', 'import'], "missing required argument 'folder'"],
    [['queue', 'import', 'a', 'b'], 'too many arguments'],
    [['queue', 'retry', 'a', 'b'], 'too many arguments'],
    [['queue', 'retry', '--score'], "unknown option '--score'"],
    [['queue', 'import', 'a', '--category'], 'argument missing'],
    [['queue', 'list', 'done'], 'Allowed choices are incoming, processing'],
    [['queue', 'list', '-n', '0'], 'Expected a whole number from 1'],
  ])('%j ends with 2, also as JSON', async (args, message) => {
    const plain = await tower(...args);
    expect(plain).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining(message) as string });
    // Before the words, of which the last may want an argument.
    const { exitCode, stdout } = await runTower(['--json', ...args], environment());
    expect({ exitCode, error: JSON.parse(stdout) as unknown }).toMatchObject({
      exitCode: 2,
      error: { error: { code: 'USAGE', message: expect.stringContaining(message) as string } },
    });
  });

  it.each([[['retry']], [['requeue', 'one']], [['import', '.']]])(
    '%j without a queue directory says what to set',
    async (args) => {
      const unset = await runTower(['queue', ...args, '--json'], environment());
      expect({ exitCode: unset.exitCode, error: JSON.parse(unset.stdout) as unknown }).toMatchObject({
        exitCode: 6,
        error: { error: { code: 'SYNTX_NOT_CONFIGURED', next: expect.stringContaining('syntx.queue') as string } },
      });
      await rm(world.root, { recursive: true });
      expect(await towerJson('queue', ...args)).toMatchObject({
        exitCode: 6,
        result: { error: { code: 'QUEUE_MISSING' } },
      });
      await mkdir(world.root);
    },
  );
});

describe('tower status', () => {
  const atNoon = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 19);

  async function fill(stage: 'incoming' | 'processed' | 'error', from: number, count: number, at = atNoon(0)) {
    for (let index = from; index < from + count; index++) {
      const times = { created_at: at, producer_run: at };
      const metadata =
        stage === 'incoming'
          ? incomingMetadata(baseName(index), times)
          : answered(index, goodAnswer, { processed_at: at });
      await world.put(stage, baseName(index), { metadata });
    }
  }

  /** Without a server: the queue is looked at here. */
  async function status() {
    const { exitCode, result } = await towerJson('status');
    const { syntx, problems } = result as {
      syntx: { line: string; flags: { code: string; text: string }[] };
      problems: string[];
    };
    for (const { text } of syntx.flags) expect(problems).toContain(`SYNTX queue: ${text}`);
    expect(problems.filter((problem) => problem.startsWith('SYNTX queue: '))).toHaveLength(syntx.flags.length);
    expect(exitCode).toBe(6);
    return { line: syntx.line, flags: syntx.flags.map(({ code }) => code) };
  }

  it('flags what the monitor flags, and nothing at the bounds', async () => {
    await fill('incoming', 100, 10);
    await fill('processed', 200, 10);
    await fill('error', 300, 1);
    expect(await status()).toEqual({ line: 'Incoming: 10 | Processed: 10 | Error: 1 | Archive: 0', flags: [] });
    await fill('incoming', 110, 20);
    expect((await status()).flags).toEqual([]);
    await fill('incoming', 130, 1);
    expect((await status()).flags).toEqual(['INCOMING_HIGH']);
    const text = (await tower('status')).stdout;
    expect(text).toMatch(/^! SYNTX queue: 31 prompts wait \(10 to 30 are well\)/m);
    expect(text).toContain('Incoming: 31 | Processed: 10 | Error: 1 | Archive: 0');
  });

  it('nothing processed for a day, too many errors, too few waiting; each by its setting', async () => {
    await fill('incoming', 100, 9);
    await fill('processed', 200, 9, atNoon(2));
    await fill('error', 300, 1);
    const all = ['INCOMING_LOW', 'NOTHING_PROCESSED', 'ERROR_SHARE'];
    expect((await status()).flags).toEqual(all);
    const set = [
      'syntx.monitor.incomingLow=9',
      'syntx.monitor.processedWithinHours=72',
      'syntx.monitor.errorShare=0.11',
    ];
    const { stdout } = await tower('status', '--json', ...set.flatMap((setting) => ['--set', setting]));
    expect((JSON.parse(stdout) as { syntx: { flags: unknown[] } }).syntx.flags).toEqual([]);
  });

  it('a queue that cannot be looked at is a problem of its own', async () => {
    await rm(world.root, { recursive: true });
    expect(await status()).toEqual({ line: 'cannot be looked at [QUEUE_MISSING]', flags: ['QUEUE_MISSING'] });
    await mkdir(world.root);
  });
});
