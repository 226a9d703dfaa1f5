import { execa } from 'execa';
import { z } from 'zod';

import { TowerError } from '../errors.js';

/** A Python that was started and answered. */
export interface PythonInterpreter {
  readonly executable: string;
  /** For example `3.11.7`. */
  readonly version: string;
}

export interface PythonNeeds {
  /** Lowest version, for example `[3, 11]`. */
  readonly minimum: readonly [number, number];
  /** First version that is too new, for example `[3, 15]`. */
  readonly below?: readonly [number, number];
  /** Modules that must be importable, for example `venv` and `ensurepip`. */
  readonly modules: readonly string[];
  /** Names or paths to try, in order. */
  readonly candidates?: readonly string[];
}

const defaultCandidates = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python'];

const answerSchema = z.object({
  executable: z.string(),
  version: z.tuple([z.number(), z.number(), z.number()]),
  missing: z.array(z.string()),
});

const question = [
  'import importlib.util as u, json, sys',
  'missing = [m for m in sys.argv[1:] if u.find_spec(m) is None]',
  'print(json.dumps({"executable": sys.executable, "version": list(sys.version_info[:3]), "missing": missing}))',
].join('\n');

/**
 * The first Python among the candidates that has the version and the modules.
 *
 * @throws TowerError `PYTHON_NOT_FOUND` with what was wrong with each candidate.
 */
export async function findPython(needs: PythonNeeds, signal: AbortSignal): Promise<PythonInterpreter> {
  const refused: string[] = [];
  for (const candidate of needs.candidates ?? defaultCandidates) {
    const answer = await ask(candidate, needs.modules, signal);
    const fault = typeof answer === 'string' ? answer : faultOf(answer, needs);
    if (typeof answer !== 'string' && fault === undefined) {
      return { executable: answer.executable, version: answer.version.join('.') };
    }
    refused.push(`${candidate}: ${fault}`);
  }
  throw new TowerError(
    'PYTHON_NOT_FOUND',
    `Expected Python ${wanted(needs)} with ${needs.modules.join(', ')}; found ${refused.join('; ')}`,
    { next: 'Install Python 3.11 or later with venv and pip (Debian, Ubuntu: apt install python3-venv python3-pip).' },
  );
}

async function ask(
  candidate: string,
  modules: readonly string[],
  signal: AbortSignal,
): Promise<z.output<typeof answerSchema> | string> {
  // -I keeps PYTHONPATH and the working directory out, as a virtual environment built from it would.
  const result = await execa(candidate, ['-I', '-c', question, ...modules], {
    cancelSignal: signal,
    timeout: 15_000,
    reject: false,
    stdin: 'ignore',
  });
  signal.throwIfAborted();
  if (result.code === 'ENOENT') return 'not there';
  if (result.failed) return `did not run (${lastLine(result.stderr) ?? result.shortMessage})`;
  return answerSchema.parse(JSON.parse(result.stdout));
}

function lastLine(text: string): string | undefined {
  const line = text.trim().split('\n').at(-1);
  return line === '' ? undefined : line;
}

function faultOf(answer: z.output<typeof answerSchema>, needs: PythonNeeds): string | undefined {
  const version = answer.version.join('.');
  if (compare(answer.version, needs.minimum) < 0) return `version ${version}`;
  if (needs.below !== undefined && compare(answer.version, needs.below) >= 0) return `version ${version}`;
  if (answer.missing.length > 0) return `version ${version} without ${answer.missing.join(', ')}`;
  return undefined;
}

function compare(version: readonly number[], bound: readonly [number, number]): number {
  return (version[0] ?? 0) - bound[0] || (version[1] ?? 0) - bound[1];
}

function wanted({ minimum, below }: PythonNeeds): string {
  return below === undefined ? `${minimum.join('.')} or later` : `from ${minimum.join('.')}, below ${below.join('.')},`;
}
