import { join } from 'node:path';

import { execa } from 'execa';
import { expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { scoreAnswer, scoreFormats } from '../../src/syntx/scores/quality-score.js';

/** Fields of two formats at once: what counts depends on who reads it. */
const answer = '### Driftkörperanalyse:\neins\n\n1. Σ-DRIFTGRADIENT: zwei\n\n### Kalibrierung:\ndrei\n';

it.each(scoreFormats)('tower score --format %s', async (format) => {
  const command = [join(packageRoot, 'dist', 'client.js'), 'score', '--format', format];
  const { exitCode, stdout } = await execa(process.execPath, command, { input: answer });
  const [score, others] = [scoreAnswer(answer, format)?.score, scoreFormats.filter((other) => other !== format)];
  expect([exitCode, JSON.parse(stdout)]).toEqual([0, score]);
  expect(others.some((other) => scoreAnswer(answer, other)?.score.total_score !== score?.total_score)).toBe(true);
});

it('tower score refuses a format that is none, with those there are', async () => {
  const command = [join(packageRoot, 'dist', 'client.js'), 'score', '--format', 'haiku'];
  const { exitCode, stderr } = await execa(process.execPath, command, { input: answer, reject: false });
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('syntex_system')]);
});
