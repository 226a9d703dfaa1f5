import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { execa, type Result } from 'execa';
import { z } from 'zod';

import { packageRoot } from '../../src/files/package-root.js';
import { waitUntil } from './wait-until.js';

/** What `tower up --json` prints when it is up. */
const readySchema = z.object({
  address: z.string(),
  uiAddress: z.url(),
  home: z.string(),
  workers: z.array(z.object({ name: z.string(), pid: z.int() })),
});

export interface UpProcess {
  readonly pid: number;
  readonly ready: z.output<typeof readySchema>;
  readonly ended: Promise<Result>;
  /** Living processes that it has started, and theirs: server, workers, lock holders, trainers that are not adopted. */
  parts(): number[];
  /** A signal to the process group, as a terminal sends Ctrl-C; nothing when it has ended. */
  signal(signal: NodeJS.Signals): void;
}

/** Runs `tower up` as a person does, in a process group of its own, until it says that it is up. */
export async function startUpProcess(environment: NodeJS.ProcessEnv): Promise<UpProcess> {
  const child = execa(process.execPath, [join(packageRoot, 'dist', 'client.js'), 'up', '--json'], {
    env: environment,
    extendEnv: false,
    reject: false,
    detached: true,
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('tower up was not started');
  const ended = child as Promise<Result>;
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let result: Result | undefined;
  void ended.then((end) => (result = end));
  const line = await waitUntil('tower up', () => {
    if (result !== undefined) throw new Error(`tower up ended early:\n${output}${String(result.stderr)}`);
    return output.includes('\n') && output;
  });
  const ready = readySchema.safeParse(JSON.parse(line));
  if (!ready.success) throw new Error(`tower up is not up: ${line}`);
  return {
    pid,
    ready: ready.data,
    ended,
    parts: () => processesBelow(pid),
    signal: (signal: NodeJS.Signals) => {
      if (result === undefined) process.kill(-pid, signal);
    },
  };
}

/** All descendants of a process. */
export function processesBelow(pid: number): number[] {
  const children = childrenOf(pid);
  return [...children, ...children.flatMap(processesBelow)];
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
