import { TowerError } from '../../errors.js';
import { observeQueue, type MonitorFlag } from '../../syntx/monitor/observe-queue.js';
import { monitorLimits } from '../../syntx/open-syntx.js';
import type { CommandContext } from '../command-context.js';
import { withQueueFiles } from '../queue/queue-files.js';

/** How the SYNTX queue stands. */
export interface SyntxStatus {
  /** The guide's line without its time, or why the queue cannot be looked at. */
  readonly line: string;
  /** What is not well. */
  readonly flags: readonly (Omit<MonitorFlag, 'code'> & { readonly code: string })[];
}

/** `null` when no queue is configured. */
export async function readQueueStatus(context: CommandContext): Promise<SyntxStatus | null> {
  const { syntx } = context.config;
  if (syntx.queue === undefined) return null;
  try {
    const limits = monitorLimits(syntx);
    const { line, flags } = await withQueueFiles(context, ({ queue }) => observeQueue(queue, { limits }));
    return { line, flags };
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    const { code, message } = error;
    return { line: `cannot be looked at [${code}]`, flags: [{ code, text: message }] };
  }
}
