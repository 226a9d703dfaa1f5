import type { LocalStatus } from './local-status.js';
import type { QueueStatus } from './queue-status.js';
import type { ServerStatus } from './server-status.js';

export interface StatusReport extends LocalStatus {
  /** ISO 8601 UTC. */
  readonly time: string;
  readonly home: string;
  readonly server: ServerStatus;
}

/** What a person has to do something about, one line each; empty when all is well. */
export function problemsOf({ server, gpus, ledgerError, syntx }: StatusReport): string[] {
  return [
    ...(server.reachable ? server.queues.flatMap(queueProblems) : [serverProblem(server.error)]),
    ...(server.reachable ? server.schedules.filter(({ state }) => state === 'absent').map(absentProblem) : []),
    ...gpus.filter(({ state }) => state === 'unknown' || state === 'held-by-unknown').map(({ text }) => text),
    ...(syntx === null ? [] : syntx.flags.map(({ text }) => `SYNTX queue: ${text}`)),
    ...(ledgerError === null ? [] : [`the ledger cannot be read: ${ledgerError}`]),
  ];
}

function serverProblem({ message, next }: { readonly message: string; readonly next: string | null }): string {
  return next === null ? message : `${message}. ${next}`;
}

function queueProblems(queue: QueueStatus): string[] {
  const { workers } = queue;
  const [what, without, several] = explanations(queue);
  if (workers.length === 0) return [`${what}: no worker; ${without}. Start it with \`tower up\` or \`tower worker\`.`];
  if (workers.length === 1) return [];
  const who = workers.map(({ identity }) => identity).join(', ');
  return [`${what}: ${workers.length} workers (${who}), and there may be one; ${several}. End all but one.`];
}

/** Name, what follows from no worker, what follows from several. */
function explanations({ kind, host, gpuIndex }: QueueStatus): [string, string, string] {
  switch (kind) {
    case 'tower':
      return ['control', 'no workflow moves', 'two Towers share this server'];
    case 'host':
      return [`host ${host}`, 'its batches, packages and stops wait', 'only one may write the ledger'];
    case 'gpu':
      return [`GPU ${gpuIndex} of ${host}`, 'its work waits', 'they only get in each other’s way'];
  }
}

function absentProblem({ name }: { readonly name: string }): string {
  return `schedule ${name} is not on the server. Run \`tower schedule apply\`.`;
}
