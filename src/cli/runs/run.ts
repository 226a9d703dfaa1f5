import type { Command } from 'commander';

import { TowerError } from '../../errors.js';
import { contextOf } from '../command-context.js';
import { parseDuration } from '../durations.js';
import { addPromptRuns } from '../queue/prompt-runs.js';
import type { SetExitCode } from '../exit-codes.js';

interface RunDailyOptions {
  readonly force?: boolean;
  readonly forcePromote?: boolean;
  readonly host?: string;
  readonly wait?: boolean;
  readonly timeout?: number;
}

/** `tower run daily`, and the runs of the prompt evolution. */
export function addRunCommand(program: Command, setExitCode: SetExitCode): void {
  const run = program.command('run').description('start something by hand');
  run
    .command('daily')
    .description('one daily cycle: fetch batches, import, train, evaluate, deliver')
    .option('--force', 'train even when nothing is new')
    .option('--force-promote', 'promote what is trained, whatever the evaluation says; recorded as forced')
    .option('--host <name>', 'GPU host to run on; default: the least busy one')
    .option('--wait', 'show progress until the cycle and its deliveries have ended')
    .option(
      '--timeout <duration>',
      'with --wait: give up waiting after so long (90s, 5m, 2h); the work goes on',
      parseDuration,
    )
    .action(async (options: RunDailyOptions, command: Command) => {
      if (options.timeout !== undefined && options.wait !== true) {
        throw new TowerError('USAGE', '--timeout says how long --wait waits, and there is no --wait');
      }
      const { runDaily } = await import('./run-daily.js');
      setExitCode(await runDaily(options, await contextOf(command)));
    });
  addPromptRuns(run, setExitCode);
}
