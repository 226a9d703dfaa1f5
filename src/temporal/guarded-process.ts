import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { TowerError } from '../errors.js';

/** How a process ended; for one ended by a signal `code` is null. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GuardedProcess {
  /** Leader of the process group. */
  readonly pid: number;
  /** Settles when the group has no member left. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** SIGTERM to the group, SIGKILL after the grace; resolves when it is gone. Safe to call again. */
  stop(graceMs?: number): Promise<ProcessExit>;
}

export interface GuardedProcessInput {
  readonly command: string;
  readonly args: readonly string[];
  /** Open descriptor that takes stdout and stderr. */
  readonly outputDescriptor: number;
  readonly environment?: NodeJS.ProcessEnv;
}

const defaultGraceMs = 10_000;

/**
 * Leader of the group: starts the program and ends it when its own standard input closes, which the kernel does when
 * Tower is gone, also after `kill -9`. The program gets SIGTERM and, after ten seconds, SIGKILL.
 */
const guardScript = `
exec 3<&0 </dev/null
trap : TERM INT HUP
"$@" 3<&- &
program=$!
(
  trap - TERM INT HUP
  read -r _ <&3
  kill -TERM "$program" 2>/dev/null
  tries=10
  while [ "$tries" -gt 0 ] && kill -0 "$program" 2>/dev/null; do sleep 1; tries=$((tries - 1)); done
  kill -KILL "$program" 2>/dev/null
) &
while :; do
  wait "$program"
  status=$?
  kill -0 "$program" 2>/dev/null || break
done
trap '' TERM
kill -TERM 0
exit "$status"
`;

/**
 * Starts a program in a process group of its own that does not outlive this process.
 *
 * @throws TowerError `PROCESS_NOT_STARTED` when there is no shell to start it with.
 */
export async function startGuardedProcess(input: GuardedProcessInput): Promise<GuardedProcess> {
  const { command, args, outputDescriptor } = input;
  const child = spawn('/bin/sh', ['-c', guardScript, 'tower-guard', command, ...args], {
    detached: true,
    stdio: ['pipe', outputDescriptor, outputDescriptor],
    env: input.environment ?? process.env,
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw new TowerError('PROCESS_NOT_STARTED', `${command} could not be started`, { cause: error });
  }
  const pid = child.pid;
  if (pid === undefined) throw new TowerError('PROCESS_NOT_STARTED', `${command} has no process id`);
  // Writing never happens; a group that was killed resets the pipe, which is no fault.
  child.stdin?.on('error', () => undefined);
  const exited = once(child, 'exit').then(([code, signal]) => {
    signalGroup(pid, 'SIGKILL');
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  return {
    pid,
    exited,
    stop: async (graceMs = defaultGraceMs) => {
      signalGroup(pid, 'SIGTERM');
      const force = setTimeout(() => {
        signalGroup(pid, 'SIGKILL');
      }, graceMs);
      return exited.finally(() => {
        clearTimeout(force);
      });
    },
  };
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
