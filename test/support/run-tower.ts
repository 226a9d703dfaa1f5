import { runCommandLine } from '../../src/cli/main.js';
import type { ExitCode } from '../../src/cli/exit-codes.js';
import { isForeignVariable } from './own-environment.js';

export interface TowerRun {
  readonly exitCode: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command line in this process, for commands that need neither a signal nor the built program. Variables of this
 * machine that Tower reads are hidden; `environment` is what it sees instead.
 */
export async function runTower(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<TowerRun> {
  const written = { stdout: '', stderr: '' };
  const restore = [capture('stdout', written), capture('stderr', written), replaceEnvironment(environment)];
  try {
    const exitCode = await runCommandLine(['node', 'tower', ...args]);
    return { exitCode, ...written };
  } finally {
    for (const undo of restore) undo();
  }
}

function capture(stream: 'stdout' | 'stderr', into: Record<'stdout' | 'stderr', string>): () => void {
  const write = process[stream].write.bind(process[stream]);
  process[stream].write = (chunk: string | Uint8Array) => {
    into[stream] += String(chunk);
    return true;
  };
  return () => {
    process[stream].write = write;
  };
}

function replaceEnvironment(environment: Readonly<Record<string, string>>): () => void {
  const before = { ...process.env };
  const hidden = Object.keys(before).filter(isForeignVariable);
  for (const name of hidden) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, environment);
  return () => {
    for (const name of Object.keys(process.env)) if (!(name in before)) Reflect.deleteProperty(process.env, name);
    Object.assign(process.env, before);
  };
}
