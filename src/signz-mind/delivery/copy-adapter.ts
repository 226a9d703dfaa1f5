import { cp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { renameDurable } from '../../files/durable-write.js';

/** What packaging a version and comparing candidates with it need of a run's folder. */
const copiedParts = [join('output', 'adapter'), 'dataset', 'config.json', 'settled.json'];

/**
 * Gives a new version the adapter of another run, with the data it was trained with. Repeatable; the copy appears whole.
 *
 * @throws TowerError `ADAPTER_MISSING` when the other run has none any more
 */
export async function copyAdapter({
  runsDirectory,
  from,
  to,
}: {
  readonly runsDirectory: string;
  readonly from: string;
  readonly to: string;
}): Promise<void> {
  const target = join(runsDirectory, to);
  if (await exists(target)) return;
  const source = join(runsDirectory, from);
  if (!(await exists(join(source, 'output', 'adapter')))) {
    throw new TowerError('ADAPTER_MISSING', `the adapter of ${from} is not on this host: ${source}`, {
      next: 'Its files were removed or lie on another host.',
    });
  }
  const draft = join(runsDirectory, `.${to}.draft`);
  await rm(draft, { recursive: true, force: true });
  try {
    for (const part of copiedParts) {
      if (await exists(join(source, part))) await cp(join(source, part), join(draft, part), { recursive: true });
    }
    await renameDurable(draft, target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(undefinedIfAbsent)) !== undefined;
}
