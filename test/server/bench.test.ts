import { join } from 'node:path';

import { execa } from 'execa';
import { expect, it } from 'vitest';

import type { LearningVerdict } from '../../bench/learning/learning-benchmark.js';
import type { RenderVerdict } from '../../bench/render/render-benchmark.js';
import type { Verdict } from '../../bench/verdict.js';
import { packageRoot } from '../../src/files/package-root.js';

it('the benchmarks run, say what they found, and end with 1 exactly when a limit is missed', async () => {
  const options = { cwd: packageRoot, preferLocal: true } as const;
  await execa('tsc', ['-p', 'tsconfig.bench.json'], options);
  const main = join('dist-bench', 'bench', 'main.js');
  // Far too small to judge anything by: this shows that it works, not how fast Tower is.
  const sizes = [
    '--rows',
    '2000',
    '--bytes',
    '3000000',
    '--images',
    '4',
    '--image-ms',
    '50',
    '--worlds',
    '1',
    '--world-days',
    '2',
  ];
  const args = [main, ...sizes, '--against', 'one-in-flight'];
  const { stdout, stderr, exitCode } = await execa(process.execPath, args, { ...options, reject: false });
  const verdicts = JSON.parse(stdout) as [Verdict, Verdict, RenderVerdict, LearningVerdict];
  expect(verdicts.map(({ benchmark, size }) => [benchmark, size])).toEqual([
    ['import', 2000],
    ['upload', 3_000_000],
    ['render', 4],
    ['learning', 1],
  ]);
  const [inserted, uploaded, rendered, learned] = verdicts;
  for (const { rounds, figures } of [inserted, uploaded]) {
    expect(rounds).toHaveLength(1);
    expect(figures.map(({ unit }) => unit)).toEqual(['', 'MiB', 'ms']);
    for (const { bare, tower } of rounds) expect(Math.min(bare.seconds, tower.seconds)).toBeGreaterThan(0);
  }
  expect(rendered.sides.map(({ side, delivered, deepestQueue }) => [side, delivered, deepestQueue])).toEqual([
    ['Tower', 4, 2],
    ['one in flight, WebSocket', 4, 1],
  ]);
  for (const { gaps, downloads } of rendered.sides) expect([gaps.median > 0, downloads]).toEqual([true, 1]);
  expect(learned.rows).toHaveLength(12);
  const shares = learned.rows.filter(({ scenario }) => scenario === 'plain').map(({ share }) => share);
  expect(shares[0]).toBeGreaterThan(Math.max(...shares.slice(1)));
  expect(stderr).toContain('LEARNING, 1 WORLDS EACH');
  expect(stderr).toContain('seconds Tower');
  expect(stderr).toContain('RENDER 4 images of 50 ms');
  expect(exitCode).toBe(verdicts.every(({ ok }) => ok) ? 0 : 1);
});
