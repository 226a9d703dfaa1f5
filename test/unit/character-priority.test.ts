import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { characterPriority, gpuPriority } from '../../src/workflows/policies.js';

it('levels and stages have the Temporal priorities that the documentation says', async () => {
  const text = await readFile(join(packageRoot, 'docs', 'command-line.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(urgent|high|normal|low)` +\| (\d) +\| (\d) +\|/gm)];
  expect(rows.map(([, level]) => level)).toEqual(['urgent', 'high', 'normal', 'low']);
  for (const [, level, images, training] of rows) {
    const { images: ofImages, training: ofTraining } = characterPriority(level as 'urgent' | 'high' | 'normal' | 'low');
    expect([level, ofImages.priorityKey, ofTraining.priorityKey]).toEqual([level, Number(images), Number(training)]);
  }
});

it('a daily training goes before every character work that is not urgent', () => {
  for (const level of ['high', 'normal', 'low'] as const) {
    const { images, training } = characterPriority(level);
    expect(images.priorityKey).toBeGreaterThan(gpuPriority.dailyTraining.priorityKey);
    expect(training.priorityKey).toBeGreaterThan(gpuPriority.dailyTraining.priorityKey);
  }
});
