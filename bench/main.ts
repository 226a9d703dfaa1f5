import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { tableText } from '../src/cli/table.js';
import { runImagesBenchmark, type ImagesVerdict } from './images/images-benchmark.js';
import { imagesTables } from './images/images-table.js';
import { importBenchmark, uploadBenchmark, type Benchmark, type Round } from './benchmarks.js';
import { runLearningBenchmark, type LearningRow, type LearningVerdict } from './learning/learning-benchmark.js';
import { learningTables } from './learning/learning-table.js';
import { claimPlaces, runClaimBenchmark, type ClaimVerdict } from './queue/claim-benchmark.js';
import { runEvidenceBenchmark, type EvidenceVerdict } from './queue/evidence-benchmark.js';
import { claimTables, evidenceTables } from './queue/queue-tables.js';
import { opponents, runRenderBenchmark, type Opponent, type RenderVerdict } from './render/render-benchmark.js';
import { renderTable } from './render/render-table.js';
import { figureRow, judge, type Verdict } from './verdict.js';

const memoryDirectory = '/dev/shm';

const usage = `npm run bench -- [--rows <n>] [--bytes <n>] [--rounds <n>] [--only import|upload|render|learning|claim|evidence|images]
                 [--images <n>] [--image-ms <n>] [--against <names>] [--restart-after <n>] [--worlds <n>] [--world-days <n>] [--seed <text>]
                 [--waiting <n>] [--claims <n>] [--jobs <n>] [--run-images <n>]

Measures Tower beside others that do the same work, one right after the other, each in a process of its own: import and upload
beside the bare minimum, rendering beside usual loops and npm packages on one simulated ComfyUI (--against, with commas:
${Object.keys(opponents).join(', ')}; default all; with
--restart-after the server forgets everything in the middle of the image after so many).
Learning is measured in simulated worlds, all policies in the same ones.
claim takes jobs from a queue directory with a hundred and with --waiting jobs, evidence reads --jobs scored ones, images renders
--run-images tiny images in one character run: what very many of them cost beside few.
Prints tables to stderr and JSON to stdout; exit code 1 when a limit is missed.`;

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    bytes: { type: 'string', default: String(2 ** 30) },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
    images: { type: 'string', default: '40' },
    'image-ms': { type: 'string', default: '500' },
    against: { type: 'string' },
    'restart-after': { type: 'string' },
    worlds: { type: 'string', default: '40' },
    'world-days': { type: 'string', default: '30' },
    seed: { type: 'string', default: 'report' },
    waiting: { type: 'string', default: '100000' },
    claims: { type: 'string', default: '400' },
    jobs: { type: 'string', default: '100000' },
    'run-images': { type: 'string', default: '10000' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(`${usage}\n`);
} else {
  const plan: [Benchmark, number][] = [
    [importBenchmark, count('rows', values.rows)],
    [uploadBenchmark, count('bytes', values.bytes)],
  ];
  const rounds = count('rounds', values.rounds);
  const isWanted = (name: string) => values.only === undefined || values.only === name;
  const verdicts: (Verdict | RenderVerdict | LearningVerdict | ClaimVerdict | EvidenceVerdict | ImagesVerdict)[] = [];
  const tables: string[] = [];
  for (const [benchmark, size] of plan) {
    if (!isWanted(benchmark.name)) continue;
    const verdict = await inDirectory((directory) => run(benchmark, { directory, size, rounds }));
    verdicts.push(verdict);
    tables.push(table(verdict));
  }
  if (isWanted('render')) {
    const options = { images: count('images', values.images), renderMs: count('image-ms', values['image-ms']) };
    const against = opponentsIn(values.against);
    const after = values['restart-after'];
    const restartAfter = after === undefined ? null : count('restart-after', after);
    const verdict = await inDirectory((directory) =>
      runRenderBenchmark(directory, { ...options, against, restartAfter }),
    );
    verdicts.push(verdict);
    tables.push(...renderTable(verdict));
  }
  if (isWanted('learning')) {
    const [worlds, days] = [count('worlds', values.worlds), count('world-days', values['world-days'])];
    const onRow = ({ scenario, policy, share }: LearningRow) =>
      process.stderr.write(`learning, ${scenario}: ${policy} ${(100 * share).toFixed(1)} %\n`);
    const verdict = runLearningBenchmark({ worlds, days, seed: values.seed, onRow });
    verdicts.push(verdict);
    tables.push(...learningTables(verdict));
  }
  if (isWanted('claim')) {
    const [waiting, claims] = [count('waiting', values.waiting), count('claims', values.claims)];
    const verdict = await inDirectory((disk) =>
      inMemory(async (memory) => runClaimBenchmark({ places: claimPlaces(disk, memory), waiting, claims })),
    );
    verdicts.push(verdict);
    tables.push(...claimTables(verdict));
  }
  if (isWanted('evidence')) {
    const verdict = await inDirectory((directory) => runEvidenceBenchmark(directory, count('jobs', values.jobs)));
    verdicts.push(verdict);
    tables.push(...evidenceTables(verdict));
  }
  if (isWanted('images')) {
    const verdict = await runImagesBenchmark(count('run-images', values['run-images']));
    verdicts.push(verdict);
    tables.push(...imagesTables(verdict));
  }
  if (verdicts.length === 0) {
    const known = 'import, upload, render, learning, claim, evidence or images';
    throw new Error(`--only: expected ${known}, found ${String(values.only)}`);
  }
  process.stderr.write(`${tables.join('\n\n')}\n`);
  process.stdout.write(`${JSON.stringify(verdicts, null, 2)}\n`);
  process.exitCode = verdicts.every(({ ok }) => ok) ? 0 : 1;
}

async function inDirectory<Result>(work: (directory: string) => Promise<Result>, parent = tmpdir()): Promise<Result> {
  const directory = await mkdtemp(join(parent, 'tower-bench-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** In a file system that is no disk, where the machine has one. */
async function inMemory<Result>(work: (directory: string | undefined) => Promise<Result>): Promise<Result> {
  const isThere = await stat(memoryDirectory).then(
    () => true,
    () => false,
  );
  return isThere ? inDirectory(work, memoryDirectory) : work(undefined);
}

async function run(
  benchmark: Benchmark,
  { directory, size, rounds }: { readonly directory: string; readonly size: number; readonly rounds: number },
): Promise<Verdict> {
  const taken: Round[] = [];
  for await (const round of benchmark.run(directory, size, rounds)) taken.push(round);
  return judge(benchmark, size, taken);
}

function table({ benchmark, size, rounds, figures }: Verdict): string {
  const seconds = (side: keyof Round) => rounds.map((round) => round[side].seconds.toFixed(2)).join(', ');
  const unit = benchmark === 'import' ? 'rows' : 'bytes';
  return tableText(
    [`${benchmark.toUpperCase()} ${size} ${unit}`, 'FOUND', 'LIMIT', ''],
    [['seconds bare', seconds('bare'), '', ''], ['seconds Tower', seconds('tower'), '', ''], ...figures.map(figureRow)],
  );
}

function opponentsIn(text: string | undefined): Opponent[] {
  const all = Object.keys(opponents) as Opponent[];
  if (text === undefined) return all;
  return text.split(',').map((name) => {
    const found = all.find((known) => known === name.trim());
    if (found === undefined) throw new Error(`--against: expected some of ${all.join(', ')}, found ${name}`);
    return found;
  });
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${flag}: expected a whole number above 0, found ${text}`);
}
