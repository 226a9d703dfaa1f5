import type { Command } from 'commander';

import { contextOf } from '../command-context.js';
import { parseDuration } from '../durations.js';
import { exitCodes, type SetExitCode } from '../exit-codes.js';
import type { ApproveOptions } from './approve-character.js';

const idText = 'for example elara/2, elara for her newest run, or a whole workflow id';

/** `tower character watch|approve|pause|resume|cancel`: as the general commands, with short ids. */
export function addControlCommands(character: Command, setExitCode: SetExitCode): void {
  character
    .command('watch')
    .description('show a run live: images done and rejected, step, loss, rate, time left')
    .argument('<run>', idText)
    .action(async (run: string, _options: unknown, command: Command) => {
      const { watchCharacter } = await import('./control-character.js');
      const completed = await watchCharacter(run, await contextOf(command));
      if (!completed) setExitCode(exitCodes.failed);
    });
  character
    .command('report')
    .description('write what a run of this machine made, as one HTML file with its facts as JSON; needs no server')
    .argument('<run>', idText)
    .option('-o, --output <file>', 'where to write; default: reports/ in the state directory')
    .action(async (run: string, options: { output?: string }, command: Command) => {
      const { writeCharacterReport } = await import('../runs/write-character-report.js');
      await writeCharacterReport(await contextOf(command), run, options.output);
    });
  character
    .command('approve')
    .description('decide about the contact sheet of a run that was started with --review')
    .argument('<run>', idText)
    .option('--reject <list>', 'image numbers with commas; they are rendered again, and another look is asked for')
    .option('--final', 'with --reject: train without the rejected images instead')
    .option('--reason <text>', 'why they are rejected')
    .option('--caption <number=text>', 'a new caption; may be repeated', collect)
    .option('--captions <file>', 'JSON object of captions by image number')
    .option('--not-yet', 'only edit captions: another look is asked for')
    .option('--by <name>', 'who decides, for the record')
    .action(async (run: string, options: ApproveOptions, command: Command) => {
      const { approveCharacter } = await import('./approve-character.js');
      await approveCharacter(run, options, await contextOf(command));
    });
  character
    .command('pause')
    .description('free the GPU: the present image is given up, or the trainer saves a complete state')
    .argument('<run>', idText)
    .action(async (run: string, _options: unknown, command: Command) => {
      const { pauseCharacter } = await import('./control-character.js');
      await pauseCharacter(run, await contextOf(command));
    });
  character
    .command('resume')
    .description('let a paused run go on')
    .argument('<run>', idText)
    .action(async (run: string, _options: unknown, command: Command) => {
      const { resumeCharacter } = await import('./control-character.js');
      await resumeCharacter(run, await contextOf(command));
    });
  character
    .command('cancel')
    .description('end a run in order; what it has made stays')
    .argument('<run>', idText)
    .option('--no-wait', 'ask for it and return at once')
    .option('--timeout <duration>', 'how long to wait for its end, such as 90s', parseDuration, 120_000)
    .action(async (run: string, options: { wait: boolean; timeout: number }, command: Command) => {
      const { cancelCharacter } = await import('./control-character.js');
      await cancelCharacter(run, options, await contextOf(command));
    });
}

function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}
