import { readFile } from 'node:fs/promises';

import { z } from 'zod';

import { describeError, TowerError } from '../../errors.js';

/** Starts a simulated server. @throws TowerError `PORT_TAKEN` */
export async function startAt<Server>(port: number, start: () => Promise<Server>): Promise<Server> {
  try {
    return await start();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new TowerError('PORT_TAKEN', `port ${port} is taken`, {
      cause: error,
      next: 'Take another --port, or 0 for any free one.',
    });
  }
}

/** The fault plan in a file; none without one. @throws TowerError `USAGE` when it cannot be read or says nothing known */
export async function readFaultPlan<Plan>(file: string | undefined, schema: z.ZodType<Plan[]>): Promise<Plan[]> {
  if (file === undefined) return [];
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : describeError(cause);
    throw new TowerError('USAGE', `--faults ${file}: expected a list of faults (${reason})`, {
      cause,
      next: 'docs/simulated-servers.md lists the faults.',
    });
  }
}
