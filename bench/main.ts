import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { tableText } from '../src/cli/table.js';
import { importBenchmark, uploadBenchmark, type Benchmark, type Round } from './benchmarks.js';
import { judge, type Verdict } from './verdict.js';

const usage = `npm run bench -- [--rows <n>] [--bytes <n>] [--rounds <n>] [--only import|upload]

Measures Tower beside the bare minimum of the same work, one right after the other, each in a process of its own.
Prints a table to stderr and JSON to stdout; exit code 1 when a limit is missed.`;

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    bytes: { type: 'string', default: String(2 ** 30) },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
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
  const verdicts: Verdict[] = [];
  for (const [benchmark, size] of plan) {
    if (values.only === undefined || values.only === benchmark.name) verdicts.push(await run(benchmark, size, rounds));
  }
  if (verdicts.length === 0) throw new Error(`--only: expected import or upload, found ${String(values.only)}`);
  process.stderr.write(`${verdicts.map(table).join('\n\n')}\n`);
  process.stdout.write(`${JSON.stringify(verdicts, null, 2)}\n`);
  process.exitCode = verdicts.every(({ ok }) => ok) ? 0 : 1;
}

async function run(benchmark: Benchmark, size: number, rounds: number): Promise<Verdict> {
  const directory = await mkdtemp(join(tmpdir(), 'tower-bench-'));
  try {
    const taken: Round[] = [];
    for await (const round of benchmark.run(directory, size, rounds)) taken.push(round);
    return judge(benchmark, size, taken);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function table({ benchmark, size, rounds, figures }: Verdict): string {
  const seconds = (side: keyof Round) => rounds.map((round) => round[side].seconds.toFixed(2)).join(', ');
  const unit = benchmark === 'import' ? 'rows' : 'bytes';
  return tableText(
    [`${benchmark.toUpperCase()} ${size} ${unit}`, 'FOUND', 'LIMIT', ''],
    [
      ['seconds bare', seconds('bare'), '', ''],
      ['seconds Tower', seconds('tower'), '', ''],
      ...figures.map(({ what, value, limit, unit: of, ok }) => [
        ...[what, `${value.toFixed(2)} ${of}`, `${what.startsWith('speed') ? '≥' : '≤'} ${limit} ${of}`],
        ok ? 'ok' : 'MISSED',
      ]),
    ],
  );
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${flag}: expected a whole number above 0, found ${text}`);
}
