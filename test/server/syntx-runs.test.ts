import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startConsumePrompts, startProducePrompts } from '../../src/client.js';
import { packageRoot } from '../../src/files/package-root.js';
import type { promptTick } from '../../src/workflows/prompt-tick.js';
import { baseName, goodAnswer, incomingMetadata } from '../support/syntx-queue.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { testTemporalCli } from '../support/temporal-cli.js';

let machine: SyntxMachine;

async function put(stage: string, name: string, files: Record<string, string>): Promise<void> {
  const directory = join(machine.queue, stage);
  await mkdir(directory, { recursive: true });
  for (const [ending, text] of Object.entries(files)) await writeFile(join(directory, `${name}${ending}`), text);
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

async function tower(...args: string[]): Promise<{ exitCode: number | undefined; result: Record<string, unknown> }> {
  const { exitCode, stdout } = await machine.tower.tower(...args, '--json');
  return { exitCode, result: JSON.parse(String(stdout)) as Record<string, unknown> };
}

beforeAll(async () => {
  machine = await SyntxMachine.create({ inMemory: true });
  await machine.tower.startControl();
});
afterAll(() => machine.close());

describe('an existing queue directory', () => {
  const scored = (score: number) => ({
    syntex_result: {
      quality_score: { total_score: score, field_completeness: score, structure_adherence: 100, detail_breakdown: {} },
      ...{ duration_ms: 36_454, session_id: '519c9a2e', wrapper: 'syntex_system', worker_id: 'cron_syntex' },
      response_text: goodAnswer,
    },
    processed_at: '2026-01-05T04:01:02.643493',
    status: 'success',
  });
  /** Names of waiting jobs, as each producer of the original writes them, oldest first; the first has no metadata yet. */
  const waiting = {
    legacy: '20251124_090000_000001__topic_kuenstliche_intelligenz__style_technisch',
    queueAware: '20251125_090000_000001__topic_klimawandel__style_kreativ',
    multilingual: '20251126_090000_000001__topic_bildung__style_casual',
    evolutionary: baseName(1, 'technologie', 'akademisch'),
  };

  it('is taken over: every variant is answered, learned from and archived, and upstream readers find what they expect', async () => {
    await put('incoming', waiting.legacy, { '.txt': 'Schreibe technisch und präzise: KI' });
    await put('incoming', waiting.queueAware, {
      '.txt': 'Ein Prompt über das Klima',
      '.json': json({ topic: 'Klimawandel', style: 'kreativ', category: 'gesellschaft', filename: 'x.txt' }),
    });
    await put('incoming', waiting.multilingual, {
      '.txt': 'A prompt',
      '.json': json({
        topic: 'bildung',
        style: 'casual',
        category: 'Physik verstehen',
        language: 'en',
        multilingual: true,
      }),
    });
    await put('incoming', waiting.evolutionary, {
      '.txt': 'Noch einer',
      '.json': json(incomingMetadata(waiting.evolutionary)),
    });
    const [triplet, pair, retried] = [baseName(10), baseName(11, 'bildung'), baseName(12, 'kritisch')];
    const done = (name: string, score: number) => json({ ...incomingMetadata(name), ...scored(score) });
    await put('processed', triplet, { '.txt': 'p', '.json': done(triplet, 100), '_response.txt': goodAnswer });
    // From before 10 December 2025: the answer stands where the prompt was.
    await put('processed', pair, { '.txt': goodAnswer, '.json': done(pair, 53) });
    const failure = { retry_count: 1, last_error: { error: 'Timeout after 3600s' }, status: 'error' };
    await put('error', `${retried}__retry1`, {
      '.txt': 'r',
      '.json': json({ ...incomingMetadata(retried), ...failure }),
    });
    await put('archive', baseName(13), { '.txt': 'a', '.json': done(baseName(13), 98) });

    const consumed = await (await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 10 })).result();
    expect(consumed).toMatchObject({ claimed: 3, unscored: 0, lost: 0, ended: 'empty' });
    const produced = await (await startProducePrompts(machine.tower.client, { count: 5 })).result();
    expect(produced).toMatchObject({ outcome: 'produced', written: 5, learnedFrom: 6, generation: 1, simulated: true });

    // What taught and lay in processed is archived, as triplet and as pair; low scores stay in error.
    const archived = await readdir(join(machine.queue, 'archive'));
    expect(archived).toEqual(expect.arrayContaining([`${triplet}_response.txt`, `${triplet}.txt`, `${pair}.json`]));
    expect(await machine.jobs('processed')).toEqual([]);
    for (const stage of ['error', 'archive'] as const) {
      for (const name of await machine.jobs(stage)) {
        const metadata = await machine.metadata(stage, name);
        expect(typeof metadata['status'], name).toBe('string');
      }
    }
    // A new job has exactly the keys of the evolutionary producer, in their order, and Tower's own last.
    const [untouched, job = ''] = await machine.jobs('incoming');
    // A prompt without metadata may be half written: it is left to the clean-up.
    expect(untouched).toBe(waiting.legacy);
    expect(job).toMatch(/^\d{8}_\d{6}_\d{6}__topic_[a-z]+__style_[a-z]+$/);
    const keys = ['topic', 'style', 'language', 'category', 'gpt_quality', 'gpt_cost', 'model', 'duration_ms'];
    const metadata = await machine.metadata('incoming', job);
    expect(Object.keys(metadata)).toEqual([...keys, 'producer_run', 'created_at', 'filename', 'tower']);
    expect(metadata).toMatchObject({ filename: `${job}.txt`, topic: metadata['category'] });
    // The logs of the original.
    const line = JSON.parse((await machine.log('evolution.jsonl')).trim()) as Record<string, unknown>;
    expect(line).toMatchObject({ generation: 1, prompts_generated: 5, learned_from: { sample_count: 6 } });
    expect(await machine.log('producer_cron.log')).toContain('Written: 5 to queue/incoming/');
    expect((await machine.log('costs.jsonl')).trim().split('\n')).toHaveLength(5);
    expect((await machine.log('syntex_calibrations.jsonl')).trim().split('\n')).toHaveLength(3);
  });
});

describe('at the same minute', () => {
  it('two consumers and a producer of two Towers on one directory: each prompt once', async () => {
    const second = await SyntxMachine.create({ inMemory: true, settings: { syntx: { queue: machine.queue } } });
    try {
      await second.tower.startControl();
      await machine.tick({ kind: 'produce', batch: 15, force: true });
      const before = Object.values(await machine.levels()).reduce((sum, count) => sum + count, 0);
      const results = await Promise.all([
        machine.tick({ kind: 'produce', batch: 5, force: true }),
        machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 8 }),
        second.tick({ kind: 'consume', wrapper: 'syntex_system', batch: 8 }),
      ]);
      expect(results).toMatchObject([
        { result: { written: 5 } },
        { result: { claimed: 8, unscored: 0, lost: 0 } },
        { result: { claimed: 8, unscored: 0, lost: 0 } },
      ]);
      const after = Object.values(await machine.levels()).reduce((sum, count) => sum + count, 0);
      expect(after).toBe(before + 5);
      expect((await machine.levels()).processing).toBe(0);
      const asked = [...machine.service.calls(), ...second.service.calls()].flatMap(({ prompt, total }) =>
        total === null ? [] : [prompt],
      );
      expect(new Set(asked).size).toBe(asked.length);
    } finally {
      await second.close();
    }
  });
});

describe('by hand', () => {
  it('tower run, queue, evolution, score and report', async () => {
    const produced = await tower('run', 'produce', '--count', '2', '--force', '--wait');
    expect(produced).toMatchObject({ exitCode: 0, result: { status: 'completed', result: { written: 2 } } });
    const consumed = await tower('run', 'consume', '--wrapper', 'sigma', '--batch', '2', '--wait');
    expect(consumed).toMatchObject({ exitCode: 0, result: { result: { claimed: 2 } } });
    const cleaned = await tower('run', 'clean', '--dry-run', '--wait');
    expect(cleaned).toMatchObject({ exitCode: 0, result: { result: { dryRun: true } } });
    const monitored = await tower('run', 'monitor', '--wait');
    expect(monitored).toMatchObject({
      exitCode: 0,
      result: { result: { line: expect.stringContaining('Incoming: ') as string } },
    });
    expect(await machine.log('queue_status_hourly.log')).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d \| Incoming: /m);

    const status = await tower('queue', 'status');
    expect(status.result).toMatchObject({
      counts: { incoming: {}, processed: {} },
      flags: expect.any(Array) as unknown[],
    });
    const listed = await tower('queue', 'list', 'error', '-n', '3');
    const [first] = listed.result['jobs'] as { baseName: string }[];
    const shown = await tower('queue', 'show', first?.baseName ?? '');
    expect(shown.result).toMatchObject({ place: 'error', baseName: first?.baseName });
    expect(await tower('queue', 'show', 'no-such-job')).toMatchObject({ exitCode: 5 });

    const history = await tower('evolution', 'history');
    const [latest] = history.result['generations'] as { record: { prompts: { reason: { text: string } }[] } }[];
    expect(latest?.record.prompts[0]?.reason.text).not.toBe('');
    const map = await tower('evolution', 'heatmap', '--wrapper', 'sigma');
    expect(map.result['rows']).toHaveLength(28);

    const { result } = await tower('report', 'evolution');
    const page = await readFile(String(result['file']), 'utf8');
    expect(page).toContain('What is expected of each style and category');
    expect(page).not.toMatch(/<script|https?:/);

    const scored = await execa(process.execPath, [join(packageRoot, 'dist', 'client.js'), 'score'], {
      input: goodAnswer,
    });
    expect(JSON.parse(scored.stdout)).toMatchObject({ total_score: 100 });
  });

  it('low scores are retried only with --scored', async () => {
    const { error } = await machine.levels();
    expect(error).toBeGreaterThan(1);
    const without = await tower('queue', 'retry');
    expect(without.result).toMatchObject({ requeued: [expect.stringContaining('__retry1')] });
    const scored = await tower('queue', 'retry', '--scored');
    expect((scored.result['requeued'] as unknown[]).length).toBeGreaterThan(0);
  });

  it('a service that refuses ends the run early: the rest waits, nothing gets a score', async () => {
    machine.service.faults = [{ times: 50, fault: { kind: 'status', status: 403, detail: 'no' } }];
    const before = await machine.levels();
    const refused = await tower('run', 'consume', '--wrapper', 'human', '--batch', '10', '--wait');
    machine.service.faults = [];
    expect(refused).toMatchObject({ exitCode: 3, result: { result: { processed: 0, low: 0 } } });
    const { claimed, ended } = (refused.result as { result: { claimed: number; ended: string } }).result;
    expect(claimed).toBeLessThan(10);
    expect(ended).toContain('jobs in a row got no answer');
    expect(await machine.levels()).toMatchObject({ incoming: before.incoming - claimed, processing: 0 });
  });

  it('temporal workflow start takes the documented JSON, and refuses what does not fit', async () => {
    const text = await readFile(join(packageRoot, 'docs', 'workflows.md'), 'utf8');
    const documented = /--input '(\{"kind": "consume".*\})'/.exec(text)?.[1] ?? '';
    const { path } = await testTemporalCli();
    const start = (id: string, input: string) =>
      execa(
        path,
        ['workflow', 'start', '--type', 'promptTick', '--task-queue', 'tower', '--workflow-id', id].concat([
          ...['--input', input, '--address', machine.tower.server.address],
        ]),
        { env: { HOME: machine.tower.home, PATH: process.env['PATH'] }, extendEnv: false },
      );
    await start('by-hand', documented);
    const result = await machine.tower.client.workflow.getHandle<typeof promptTick>('by-hand').result();
    expect(result).toMatchObject({ outcome: 'ran', kind: 'consume', result: { wrapper: 'sigma' } });
    await start('wrong', '{"kind": "consume", "batch": 0}');
    const wrong = machine.tower.client.workflow.getHandle('wrong').result();
    await expect(wrong).rejects.toMatchObject({ cause: { type: 'BAD_INPUT' } });
  });
});
