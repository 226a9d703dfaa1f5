import type { Command } from 'commander';

import type { GlobalOptions } from '../command-context.js';
import type { SetExitCode } from '../exit-codes.js';

/** `tower demo`: every loop once on this machine, with a real fine-tune, a killed worker and a rendering that makes way. */
export function addDemoCommand(program: Command, setExitCode: SetExitCode): void {
  program
    .command('demo')
    .description('run every loop once here, with everything it needs, and show what came of it')
    .option('--simulate', 'take the simulated trainer instead of a real 4-bit fine-tune')
    .option('--keep', 'leave it running at the end until Ctrl-C')
    .action(async (options: { simulate?: boolean; keep?: boolean }, command: Command) => {
      const { runDemo } = await import('./run-demo.js');
      setExitCode(await runDemo(options, command.optsWithGlobals<GlobalOptions>()));
    });
}
