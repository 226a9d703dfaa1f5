import { TowerError } from '../../errors.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { readLocalStatus } from './local-status.js';
import { readServerStatus, type ServerStatus } from './server-status.js';
import { problemsOf } from './status-problems.js';
import { statusText } from './status-text.js';

/**
 * Prints where everything stands. The local facts (GPU lock, ledger, trainers) do not need the server and are shown without
 * it too.
 *
 * @returns 0 when all is well, 6 when the server is away or a person has to do something.
 */
export async function showStatus(context: CommandContext): Promise<ExitCode> {
  const [local, server] = await Promise.all([readLocalStatus(context), serverStatus(context)]);
  const report = { time: new Date().toISOString(), home: context.home, server, ...local };
  const problems = problemsOf(report);
  context.output.result({ ...report, problems }, statusText(report, problems));
  return problems.length === 0 ? exitCodes.ok : exitCodes.precondition;
}

/** A server that is away is a fact to report, not the end of the report. */
async function serverStatus(context: CommandContext): Promise<ServerStatus> {
  try {
    return await readServerStatus(context);
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    const { code, message, next = null } = error;
    return { reachable: false, error: { code, message, next } };
  }
}
