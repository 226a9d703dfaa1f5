import { rename } from 'node:fs/promises';
import { join } from 'node:path';

import { describeError, TowerError } from '../../errors.js';
import { namesIn } from '../../files/absent.js';
import type { ServiceOptions } from '../../service-options.js';
import { ProductionRun, requirePlan } from './production-run.js';

/** Folders of runs that nobody can publish begin so. */
const asidePrefix = '.broken-';

/**
 * Runs that have paid for prompts which are not in the queue yet, oldest first. One whose folder is damaged is set aside with all that it
 * has: it would stop every run to come.
 *
 * @param root - Folder of the runs' folders.
 */
export async function unpublishedRuns(root: string, { log }: Pick<ServiceOptions, 'log'>): Promise<ProductionRun[]> {
  const open: ProductionRun[] = [];
  for (const name of (await namesIn(root)).filter((entry) => !entry.startsWith('.')).sort()) {
    const run = new ProductionRun(root, name);
    try {
      if (await isUnpublished(run)) open.push(run);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      const folder = await setAside(root, name);
      log.error({ run: name, folder, reason: describeError(error) }, 'a run that cannot be published was set aside');
    }
  }
  return open;
}

async function isUnpublished(run: ProductionRun): Promise<boolean> {
  if ((await run.published()) !== undefined || (await run.prompts()).length === 0) return false;
  await requirePlan(run);
  return true;
}

/** No attempt will ever read it. */
function isDamaged(error: unknown): boolean {
  return error instanceof TowerError && ['FILE_INVALID', 'PRODUCTION_UNKNOWN'].includes(error.code);
}

async function setAside(root: string, name: string): Promise<string> {
  const taken = new Set(await namesIn(root));
  let aside = `${asidePrefix}${name}`;
  for (let number = 2; taken.has(aside); number += 1) aside = `${asidePrefix}${name}-${number}`;
  await rename(join(root, name), join(root, aside));
  return join(root, aside);
}
