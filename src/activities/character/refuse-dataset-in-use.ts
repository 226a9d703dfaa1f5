import { realpath } from 'node:fs/promises';
import { join } from 'node:path';

import { captionOf } from '../../character/captions.js';
import { openRun } from '../../character/character-run.js';
import { readReservation } from '../../character/dataset.js';
import type { CharacterJob } from '../../character/job.js';
import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import { listRuns } from '../../training/list-runs.js';
import { runDirectory } from '../../training/run-directory.js';
import { readRunOwner, type RunOwner } from '../../training/run-owner.js';

/** A run that is to caption a dataset. */
export interface CaptioningRun {
  readonly job: CharacterJob;
  /** The dataset's folder. */
  readonly dataset: string;
  /** Folder of the runs. */
  readonly runs: string;
  readonly workflowId: string;
  readonly isOpen: (workflowId: string) => Promise<boolean>;
}

/**
 * Refuses to caption a dataset with which another open run works that expects other captions there: the two would replace each
 * other's, and one would train with the other's trigger. Runs that write the same captions do no harm to each other.
 *
 * @throws TowerError `DATASET_IN_USE`; not retryable.
 */
export async function refuseDatasetInUse({ job, dataset, runs, workflowId, isOpen }: CaptioningRun): Promise<void> {
  if (!job.stages.includes('tag')) return;
  const folder = await realPathOf(dataset);
  const others: { readonly id: string; readonly owner: RunOwner }[] = [];
  for (const id of (await listRuns(runs)).filter((name) => name.startsWith('character_'))) {
    const directory = join(runs, id);
    // Without an owner it was not prepared to its end: it will ask, too.
    const owner = await readRunOwner(runDirectory(directory)).catch(undefinedIfUnreadable);
    const reservation = await readReservation(directory).catch(undefinedIfUnreadable);
    if (owner === undefined || reservation === undefined) continue;
    if ((await realPathOf(reservation.dataset)) !== folder) continue;
    // It has asked before, and whoever came later was allowed to.
    if (owner.workflowId === workflowId) return;
    others.push({ id, owner });
  }
  for (const { id, owner } of others) {
    if (!(await isOpen(owner.workflowId)) || writeTheSame(job, (await openRun(join(runs, id))).job)) continue;
    throw new TowerError(
      'DATASET_IN_USE',
      `${id} (${owner.workflowId}) works with ${dataset}, and this run might write other captions there`,
      {
        next: `Wait for its end (\`tower watch ${owner.workflowId}\`) or cancel it, or give this run a copy of the folder.`,
        details: { dataset, run: id, workflowId: owner.workflowId },
      },
    );
  }
}

/** A damaged record of a run that ended long ago is no reason to refuse another one. */
function undefinedIfUnreadable(error: unknown): undefined {
  if (error instanceof TowerError && (error.code === 'NOT_FOUND' || error.code === 'FILE_INVALID')) return undefined;
  throw error;
}

function writeTheSame(one: CharacterJob, other: CharacterJob): boolean {
  return (
    other.stages.includes('tag') &&
    one.overwriteCaptions === other.overwriteCaptions &&
    // Any attribute: it shows what comes before the image's own, and what after.
    captionOf(one, { pose: '<pose>' }) === captionOf(other, { pose: '<pose>' })
  );
}

/** A folder may be named by a link. */
async function realPathOf(folder: string): Promise<string> {
  return (await realpath(folder).catch(undefinedIfAbsent)) ?? folder;
}
