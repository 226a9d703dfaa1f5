import { InvalidArgumentError, type Command } from 'commander';

import { TowerError } from '../../errors.js';
import { contextOf } from '../command-context.js';
import { parseDuration } from '../durations.js';
import type { SetExitCode } from '../exit-codes.js';
import type { WaitOptions } from './run-prompts.js';

/** `tower run produce`, `consume`, `monitor` and `clean`. */
export function addPromptRuns(run: Command, setExitCode: SetExitCode): void {
  waiting(run.command('produce').description('the producer: learn from scored prompts, generate new ones'))
    .option('--count <number>', 'prompts to make; default: syntx.generation.count', parseCount)
    .option('--force', 'make them although more than 24 wait')
    .action(async (options: WaitOptions & { count?: number; force?: boolean }, command: Command) => {
      const { runProduce } = await import('./run-prompts.js');
      setExitCode(await runProduce(checked(options), await contextOf(command)));
    });
  waiting(run.command('consume').description('a consumer: have waiting prompts answered and scored'))
    .requiredOption('--wrapper <name>', 'wrapper to send them through, such as sigma', parseWrapper)
    .option('--batch <number>', 'prompts of this run; default: syntx.consume.batch', parseCount)
    .action(async (options: WaitOptions & { wrapper: string; batch?: number }, command: Command) => {
      const { runConsume } = await import('./run-prompts.js');
      setExitCode(await runConsume(checked(options), await contextOf(command)));
    });
  waiting(run.command('monitor').description('count the queue, and flag what is not well')).action(
    async (options: WaitOptions, command: Command) => {
      const { runMonitor } = await import('./run-prompts.js');
      setExitCode(await runMonitor(checked(options), await contextOf(command)));
    },
  );
  waiting(
    run
      .command('clean')
      .description('clean up: old temporary files, broken prompts, old logs, old folders of producer runs'),
  )
    .option('--dry-run', 'list what would go, and change nothing')
    .action(async (options: WaitOptions & { dryRun?: boolean }, command: Command) => {
      const { runClean } = await import('./run-prompts.js');
      setExitCode(await runClean(checked(options), await contextOf(command)));
    });
}

function waiting(command: Command): Command {
  return command
    .option('--wait', 'wait until the run has ended, and print its result')
    .option(
      '--timeout <duration>',
      'with --wait: give up waiting after so long (90s, 5m, 2h); the work goes on',
      parseDuration,
    );
}

function checked<Options extends WaitOptions>(options: Options): Options {
  if (options.timeout === undefined || options.wait === true) return options;
  throw new TowerError('USAGE', '--timeout says how long --wait waits, and there is no --wait');
}

/** The name without the prefix of its file, so that one wrapper is one consumer. */
function parseWrapper(text: string): string {
  const name = text.replace(/^syntex_wrapper_/, '').replace(/\.txt$/, '');
  if (!/^[\p{L}\p{N}_-]{1,100}$/u.test(name)) {
    throw new InvalidArgumentError('Expected the name of a wrapper, such as sigma: letters, digits, _ and -.');
  }
  return name;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 500) {
    throw new InvalidArgumentError('Expected a whole number from 1 to 500.');
  }
  return count;
}
