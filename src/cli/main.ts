import { type Command, CommanderError } from 'commander';

import { TowerError } from '../errors.js';
import { exitCodeOf, exitCodes, type ExitCode } from './exit-codes.js';
import { createOutput } from './output.js';
import { createProgram } from './program.js';

/** Runs one command line (`process.argv`) and returns its exit code; nothing below calls `process.exit`. */
export async function runCommandLine(argv: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = exitCodes.ok;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv]);
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
    const known = error instanceof CommanderError ? usageError(error, commandPath(program, argv.slice(2))) : error;
    createOutput(argv.includes('--json')).error(known);
    return known instanceof TowerError ? exitCodeOf(known.code) : exitCodes.failed;
  }
}

/** Wrong usage is reported like any other error, so that `--json` and exit codes hold for it too. */
function usageError(error: CommanderError, path: string): TowerError {
  const message = error.code === 'commander.help' ? 'expected a command' : error.message.replace(/^error: /, '');
  const next =
    path === 'tower'
      ? '`tower --help` lists the commands, `tower <command> --help` their arguments.'
      : `\`${path} --help\` shows what it expects.`;
  return new TowerError('USAGE', message, { next });
}

/** The command that the words name, as far as they name one: `tower data quarantine`. */
function commandPath(program: Command, words: readonly string[]): string {
  const path = [program];
  for (const word of words) {
    const command = path.at(-1)?.commands.find((candidate) => candidate.name() === word);
    if (command !== undefined) path.push(command);
  }
  return path.map((command) => command.name()).join(' ');
}
