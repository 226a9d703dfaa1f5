import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startConsumePrompts, startProducePrompts } from '../../src/client.js';
import { packageRoot } from '../../src/files/package-root.js';
import { llmFaultsFromRules } from '../../src/sims/llm/faults.js';
import { drawLandscape, landscapeSchema } from '../../src/sims/syntx/landscape.js';
import type { promptTick } from '../../src/workflows/prompt-tick.js';
import { historic, writeHistory } from '../support/syntx-history.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { OriginalPrograms } from '../support/syntx-original.js';
import { goodAnswer } from '../support/syntx-queue.js';
import { testTemporalCli } from '../support/temporal-cli.js';

let machine: SyntxMachine;

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
  it('is taken over: every variant is answered, learned from and archived, and upstream readers find what they expect', async () => {
    await writeHistory(machine.queue);
    const original = new OriginalPrograms(machine.queue);
    const logs = join(machine.root, 'logs');
    // What the readers make of it before Tower has touched anything.
    expect(original.learned()).toHaveLength(8);
    expect(original.nextJob()).toBe(`${historic.withoutMetadata}.txt`);
    expect(original.nextGeneration(logs)).toBe(3);
    const before = original.export();
    const status = await tower('queue', 'status');
    expect(status.result).toMatchObject({
      counts: {
        ...{ incoming: { jobs: 4, withoutMetadata: 1, withoutPrompt: 1 }, processing: { jobs: 1, withoutPrompt: 1 } },
        ...{ processed: { jobs: 10, withoutPrompt: 1 }, error: { jobs: 4 }, archive: { jobs: 3, withoutMetadata: 1 } },
      },
    });

    machine.service.landscape = landscapeSchema.parse({ means: {}, noise: 0, otherwise: 100 });
    const consumed = await (await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 10 })).result();
    expect(consumed).toMatchObject({ claimed: 3, processed: 3, lost: 0, ended: 'empty' });
    const exported = original.export();
    expect(exported).toHaveLength(before.length + 3);
    for (const item of before) expect(exported).toContainEqual(item);
    for (const name of [historic.legacy, historic.multilingual, historic.waiting]) {
      expect(exported.find(({ id }) => id === `${name}.txt`)).toMatchObject({
        ...{ response: { wrapper: 'sigma' }, quality: { total_score: 98, fields_missing: [] } },
      });
      const { prompt, response } = original.fullText(name);
      expect(original.driftInput(name)).toMatchObject({
        answer: response,
        fields: expect.arrayContaining(['sigma_drift']) as string[],
      });
      expect(original.learned().find(({ file }) => file === name)).toMatchObject({ score: 98, prompt });
    }
    expect(original.table()[0]).toMatchObject({ score: 98, wrapper: 'sigma', field_count: '6/6' });
    expect(original.counts()).toMatchObject({ incoming: 1, processing: 2, processed: 14, error: 4, archive: 2 });
    // Answers count as texts, in the original's script and nowhere else.
    expect(original.statusScript()).toMatchObject({ incoming: 1, processed: 13 + 11 });

    const produced = await (await startProducePrompts(machine.tower.client, { count: 5 })).result();
    // The number of the generation survives the rotation of the log; the original's producer would begin anew.
    expect(produced).toMatchObject({
      outcome: 'produced',
      written: 5,
      learnedFrom: 15,
      generation: 8,
      simulated: true,
    });
    expect(original.nextGeneration(logs)).toBe(9);

    // What taught and lay in processed is archived, as triplet and as pair; the rest is where it was.
    const archived = await readdir(join(machine.queue, 'archive'));
    for (const name of [historic.triplet, historic.legacy]) {
      expect(archived).toEqual(expect.arrayContaining([`${name}.json`, `${name}.txt`, `${name}_response.txt`]));
    }
    expect(archived).toEqual(expect.arrayContaining([`${historic.overwritten}.json`, `${historic.overwritten}.txt`]));
    expect(await machine.jobs('processed')).toEqual([historic.empty, historic.blank].sort());
    expect(await machine.jobs('error')).toEqual(
      [historic.failed, historic.failedTwice, historic.unknownWrapper, historic.failedAfterResult].sort(),
    );
    expect(await machine.jobs('processing')).toEqual([historic.stuck]);
    const inProcessed = await readdir(join(machine.queue, 'processed'));
    expect(inProcessed).toEqual(expect.arrayContaining(['.gitkeep', `${historic.archivedPair}_response.txt`]));

    // A new job has exactly the keys of the evolutionary producer, in their order, and Tower's own last.
    const [untouched, job = ''] = await machine.jobs('incoming');
    // A prompt without metadata may be half written: it is left to the clean-up.
    expect(untouched).toBe(historic.withoutMetadata);
    expect(job).toMatch(/^\d{8}_\d{6}_\d{6}__topic_[a-z]+__style_[a-z]+$/);
    const keys = ['topic', 'style', 'language', 'category', 'gpt_quality', 'gpt_cost', 'model', 'duration_ms'];
    const metadata = await machine.metadata('incoming', job);
    expect(Object.keys(metadata)).toEqual([...keys, 'producer_run', 'created_at', 'filename', 'tower']);
    expect(metadata).toMatchObject({ filename: `${job}.txt`, topic: metadata['category'] });
    expect(original.partsOfName(job)).toEqual({ topic: metadata['category'], style: metadata['style'] });
    // The logs of the original.
    const lines = (await machine.log('evolution.jsonl')).trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      ...{ generation: 8, prompts_generated: 5, learned_from: { sample_count: 15 } },
    });
    expect(lines).toHaveLength(3);
    expect(await machine.log('producer_cron.log')).toContain('Written: 5 to queue/incoming/');
    expect((await machine.log('costs.jsonl')).trim().split('\n')).toHaveLength(5);
    expect((await machine.log('syntex_calibrations.jsonl')).trim().split('\n')).toHaveLength(3);

    // A failure of the original's is retried by its script, and a prompt of Tower's is answered: both are as it writes them.
    original.manualRetry(historic.failedTwice);
    expect(original.nextJob()).toBe(`${historic.withoutMetadata}.txt`);
    machine.service.faults = [{ times: 1, containing: 'Zweimal gescheitert', fault: { kind: 'text', response: '' } }];
    expect(await machine.tick({ kind: 'consume', wrapper: 'syntex_system', batch: 10 })).toMatchObject({
      result: { claimed: 6, processed: 5, unscored: 1 },
    });
    machine.service.faults = [];
    expect(await machine.jobs('error')).toContain(`${historic.failedTwice}__retry3`);
    expect(original.learned().map(({ score }) => score)).toEqual([100, 100, 100, 100, 100, 100]);
    // No job of Tower's makes the API fail, as those without a score do.
    expect(() => original.successByTopic()).toThrow('NoneType');
    for (const name of [historic.empty, historic.blank]) await rm(join(machine.queue, 'processed', `${name}.json`));
    expect(original.successByTopic()).toMatchObject({ harmlos: 1 });
    for (const name of [historic.empty, historic.blank]) await rm(join(machine.queue, 'processed', `${name}.txt`));
    original.cleanup();
    machine.service.landscape = drawLandscape('simulated');
  });
});

describe('at the same minute', () => {
  it('two consumers and a producer of two Towers on one directory: each prompt once', async () => {
    const second = await SyntxMachine.create({ inMemory: true, settings: { syntx: { queue: machine.queue } } });
    try {
      await second.tower.startControl();
      await machine.tick({ kind: 'produce', batch: 20, force: true });
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
    expect(consumed).toMatchObject({ exitCode: 0, result: { result: { claimed: 2, simulated: true } } });
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
    const inText = await machine.tower.tower('queue', 'show', first?.baseName ?? '');
    expect(inText.stdout).toMatch(/^Wrapper +\w+ \[simulated\]$/m);
    expect((await machine.metadata('error', first?.baseName ?? ''))['tower']).toMatchObject({ simulated: true });
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
    expect(page).toContain('their answers from a simulated service');

    const scored = await execa(process.execPath, [join(packageRoot, 'dist', 'client.js'), 'score'], {
      input: goodAnswer,
    });
    expect(JSON.parse(scored.stdout)).toMatchObject({ total_score: 100 });
  });

  it('a run of the producer that fails stands in history and report with its reason', async () => {
    machine.llmFaults = llmFaultsFromRules([
      { times: 9, fault: { kind: 'status', status: 401, message: 'no such key' } },
    ]);
    const failed = await tower('run', 'produce', '--count', '2', '--force', '--wait');
    machine.llmFaults = llmFaultsFromRules([]);
    expect(failed).toMatchObject({ exitCode: 1, result: { status: 'failed' } });

    const reason = expect.stringContaining('none of 2 prompts could be made: ') as string;
    const { result } = await tower('evolution', 'history', '-n', '1');
    expect(result).toMatchObject({ generations: [], failed: [{ reason }] });
    const [{ run, at } = { run: '', at: '' }] = result['failed'] as { run: string; at: string }[];
    expect(run).toMatch(/^produce-\d{8}T\d{9}Z-/);
    const shown = await machine.tower.tower('evolution', 'history', '--run', run);
    expect(shown).toMatchObject({ exitCode: 0, stdout: reason });
    const { report } = (await tower('report', 'evolution', at.slice(0, 10))).result;
    expect(report).toMatchObject({ failedRuns: [{ run, reason }] });
  });

  it('one that fails before it is decided does so, too, and in the log of the original; a damaged folder of an earlier one stops nothing', async () => {
    const runs = join(machine.tower.home, 'syntx');
    const damaged = join(runs, 'produce-20260101T000000000Z-dead');
    await mkdir(join(damaged, 'prompts'), { recursive: true });
    await writeFile(join(damaged, 'prompts', '0000.json'), '{');
    const tick = { kind: 'produce', batch: 2, force: true, scheduledTime: '2026-01-02T00:00:00Z' } as const;
    expect(await machine.tick(tick)).toMatchObject({ outcome: 'ran', result: { written: 2, recovered: 0 } });
    const names = await readdir(runs);
    expect(names).toContain(`.broken-${basename(damaged)}`);
    const broken = join(runs, names.find((name) => name.startsWith('produce-20260102T000000000Z-')) ?? '', 'plan.json');
    await writeFile(broken, '{');
    await expect(machine.tick(tick)).rejects.toThrow();

    const reason = expect.stringContaining(broken) as string;
    const { result } = await tower('evolution', 'history', '-n', '500');
    const run = 'produce-20260102T000000000Z-undecided';
    expect(result['failed']).toContainEqual(expect.objectContaining({ run, reason }));
    expect(await machine.log('producer_cron.log')).toMatch(/-undecided\n {3}⏸️ Nothing generated: .*produce-20260102/);
  });

  it('low scores are retried only with --scored', async () => {
    const { error } = await machine.levels();
    expect(error).toBeGreaterThan(1);
    const without = await tower('queue', 'retry');
    const names = without.result['requeued'] as string[];
    expect(names.length).toBeGreaterThan(0);
    expect(names.every((name) => name.includes('__retry'))).toBe(true);
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
