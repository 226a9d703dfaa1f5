import { join } from 'node:path';

import { describeError } from '../errors.js';
import type { Log } from '../log/logger.js';
import { livingLaunches } from './launch-record.js';
import { listRuns } from './list-runs.js';
import { runDirectory } from './run-directory.js';
import { readRunOwner, type RunOwner } from './run-owner.js';
import { stopRun } from './stop-run.js';

export interface ReapRequest {
  /** Holds one folder per run. */
  readonly runsDirectory: string;
  /** Whether a workflow is open. Throws when nobody can tell; the run is left alone then. */
  readonly isWorkflowAlive: (owner: RunOwner) => Promise<boolean>;
  readonly graceMs: number;
  readonly python: string;
}

/** Ids of the runs with a living trainer, by what was done. */
export interface ReapResult {
  readonly stopped: string[];
  /** Their workflow lives. */
  readonly kept: string[];
  /** Nobody could tell, or they could not be ended; the reason is in the log. */
  readonly left: string[];
}

/**
 * Stops every trainer whose workflow is closed or unknown. Whatever it had saved stays; the next cycle resumes from there,
 * in a new generation.
 */
export async function reapRuns(request: ReapRequest, { log }: { log: Log }): Promise<ReapResult> {
  const result: ReapResult = { stopped: [], kept: [], left: [] };
  for (const id of await listRuns(request.runsDirectory)) {
    const directory = join(request.runsDirectory, id);
    try {
      const run = runDirectory(directory);
      for (const { process, spec } of await livingLaunches(run)) {
        const owner = await readRunOwner(run);
        if (owner !== undefined && (await request.isWorkflowAlive(owner))) {
          result.kept.push(id);
          continue;
        }
        const { graceMs, python } = request;
        await stopRun({ directory, generation: spec.generation, reason: 'reap', graceMs, python }, { log });
        log.warn({ run: id, workflowId: process.workflowId }, 'stopped a trainer whose workflow is gone');
        result.stopped.push(id);
      }
    } catch (error) {
      log.warn({ run: id, error: describeError(error) }, 'left a trainer alone');
      result.left.push(id);
    }
  }
  return result;
}
