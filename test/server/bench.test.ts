import { join } from 'node:path';

import { execa } from 'execa';
import { expect, it } from 'vitest';

import type { ImagesVerdict } from '../../bench/images/images-benchmark.js';
import type { LearningVerdict } from '../../bench/learning/learning-benchmark.js';
import type { ClaimVerdict } from '../../bench/queue/claim-benchmark.js';
import type { EvidenceVerdict } from '../../bench/queue/evidence-benchmark.js';
import type { RenderVerdict } from '../../bench/render/render-benchmark.js';
import type { Verdict } from '../../bench/verdict.js';
import { packageRoot } from '../../src/files/package-root.js';

type Verdicts = [Verdict, Verdict, RenderVerdict, LearningVerdict, ClaimVerdict, EvidenceVerdict, ImagesVerdict];

it('the benchmarks run, say what they found, and end with 1 exactly when a limit is missed', async () => {
  const options = { cwd: packageRoot, preferLocal: true } as const;
  // The types of all that are checked by themselves.
  await execa('tsc', ['-p', 'tsconfig.bench.json', '--noCheck'], options);
  const main = join('dist-bench', 'bench', 'main.js');
  // Far too small to judge anything by: this shows that it works, not how fast Tower is.
  const sizes = [
    ...[
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
    ],
    ...['--waiting', '300', '--claims', '24', '--jobs', '200', '--run-images', '12'],
  ];
  const args = [main, ...sizes, '--against', 'one-in-flight'];
  const { stdout, stderr, exitCode } = await execa(process.execPath, args, { ...options, reject: false });
  const verdicts = JSON.parse(stdout) as Verdicts;
  expect(verdicts.map(({ benchmark, size }) => [benchmark, size])).toEqual([
    ['import', 2000],
    ['upload', 3_000_000],
    ['render', 4],
    ['learning', 1],
    ['claim', 300],
    ['evidence', 200],
    ['images', 12],
  ]);
  const [inserted, uploaded, rendered, learned, claimed, read, manyImages] = verdicts;
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
  expect(learned.rows).toHaveLength(30);
  const shares = new Map(
    learned.rows.flatMap(({ scenario, policy, share }) => (scenario === 'plain' ? [[policy, share] as const] : [])),
  );
  expect(shares.get('thompson')).toBeGreaterThan(Math.max(shares.get('patterns')!, shares.get('uniform')!));
  for (const name of new Set(claimed.rows.map(({ place }) => place))) {
    expect(claimed.rows.flatMap(({ side, place, waiting }) => (place === name ? [[side, waiting]] : []))).toEqual([
      ...[100, 300].map((waiting) => ['Tower', waiting]),
      ...[100, 300].map((waiting) => ['list and sort', waiting]),
    ]);
  }
  expect(claimed.rows.every(({ median, first }) => Math.min(median, first) > 0)).toBe(true);
  expect(read.sides.map(({ side }) => side)).toEqual(['every file', 'Tower, cold', 'Tower, warm']);
  expect(manyImages).toMatchObject({ historyEvents: expect.any(Number) as number, figures: [{}, {}, { ok: true }] });
  expect(stderr).toContain('EVIDENCE OF 200 JOBS');
  expect(stderr).toContain('12 IMAGES IN ONE RUN');
  expect(stderr).toContain('LEARNING, 1 WORLDS EACH');
  expect(stderr).toContain('seconds Tower');
  expect(stderr).toContain('RENDER 4 images of 50 ms');
  expect(exitCode).toBe(verdicts.every(({ ok }) => ok) ? 0 : 1);
});
