import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';

import { packageRoot } from '../../files/package-root.js';
import { startGuardedProcess, type GuardedProcess } from '../../temporal/guarded-process.js';
import type { CommandContext } from '../command-context.js';

/** A worker process of this machine, in its own process group, which ends with the process that started it. */
export interface WorkerProcess extends GuardedProcess {
  readonly name: string;
}

export interface WorkerProcessOptions {
  readonly context: CommandContext;
  /** Options as given on this command line, handed on: `--config`, `--set` and so on. */
  readonly globalArguments: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
}

export async function startControlWorker(options: WorkerProcessOptions): Promise<WorkerProcess> {
  return startWorkerProcess('control', ['--role', 'control'], options);
}

export async function startGpuWorker(index: number, options: WorkerProcessOptions): Promise<WorkerProcess> {
  return startWorkerProcess(`gpu-${index}`, ['--role', 'gpu', '--gpu', String(index)], options);
}

async function startWorkerProcess(
  name: string,
  args: readonly string[],
  { context, globalArguments, environment }: WorkerProcessOptions,
): Promise<WorkerProcess> {
  mkdirSync(context.paths.logs, { recursive: true });
  const output = openSync(join(context.paths.logs, `${name}-worker.log`), 'a');
  try {
    const client = join(packageRoot, 'dist', 'client.js');
    const started = await startGuardedProcess({
      command: process.execPath,
      args: [client, 'worker', '--embedded', ...args, '--home', context.home, ...globalArguments],
      outputDescriptor: output,
      environment: environment ?? process.env,
    });
    return { name, ...started };
  } finally {
    closeSync(output);
  }
}
