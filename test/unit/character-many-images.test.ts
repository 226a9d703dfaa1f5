import { copyFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { openReceiver } from '../../src/character/receive-image.js';
import { characterFolders, picture, preparedRun, remaining, type CharacterFolders } from '../support/character-run.js';
import { fileFaults, noFileFaults } from '../support/faulty-files.js';

vi.mock('node:fs/promises', async (original) => {
  const { faultyFiles } = await import('../support/faulty-files.js');
  return faultyFiles(await original());
});

let folders: CharacterFolders;
beforeAll(async () => {
  folders = await characterFolders();
});
afterAll(() => folders.remove());

it('of 10,000 images each costs one line of the journal, and no file is written again', async () => {
  const run = await preparedRun(folders, { count: 10_000, minImages: 1, check: { nearDuplicates: false } });
  const painted = join(folders.root, 'painted.png');
  await picture(painted, 1);
  const receiver = await openReceiver(run);
  const calls: string[] = [];
  fileFaults.decide = ({ name, path }) => {
    calls.push(`${name} ${relative(folders.root, path)}`);
    return 'go';
  };
  try {
    const taken = (await remaining(run)).filter((_, at) => at % 100 === 0);
    expect(taken).toHaveLength(100);
    for (const next of taken) {
      const path = receiver.targetOf(next);
      copyFileSync(painted, path);
      expect(await receiver.receive({ remaining: next, path, promptId: 'p' })).toEqual({ result: 'accepted' });
    }
    expect(calls).toEqual(taken.map(() => 'append runs/character_elara_v1/images.jsonl'));
    expect(receiver.accepted).toBe(100);
  } finally {
    noFileFaults();
    await receiver.close();
  }
});
