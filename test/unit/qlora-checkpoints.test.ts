import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import { findCompleteCheckpoints } from '../../src/qlora/checkpoints.js';

test('several looks at the same time set each torn checkpoint aside once', async () => {
  const home = await mkdtemp(join(tmpdir(), 'tower-'));
  onTestFinished(() => rm(home, { recursive: true }));
  const [output, broken] = [join(home, 'output'), join(home, 'broken')];
  const names = Array.from({ length: 20 }, (_, index) => `checkpoint-${index + 1}`);
  for (const name of names) await mkdir(join(output, name), { recursive: true });

  const look = () => findCompleteCheckpoints(output, broken, pino({ level: 'silent' }));
  expect(await Promise.all([look(), look(), look(), look()])).toEqual([[], [], [], []]);

  expect(await readdir(output)).toEqual([]);
  const moved = (await readdir(broken)).map((name) => name.replace(/-[0-9a-f]{8}$/, ''));
  expect(moved.toSorted()).toEqual(names.toSorted());
});
