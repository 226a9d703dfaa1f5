import { InvalidArgumentError, type Command } from 'commander';

import { contextOf } from '../command-context.js';
import { parseDuration } from '../durations.js';
import type { SetExitCode } from '../exit-codes.js';
import { addControlCommands } from './control.js';
import { addJobOptions, type JobOptions, type JobParts } from './job-options.js';
import type { CharacterStage } from '../../character/job.js';

interface StartOptions extends JobOptions {
  readonly run?: string;
  readonly wait?: boolean;
  readonly timeout?: number;
}

interface StartCommand {
  readonly name: string;
  readonly description: string;
  readonly parts: JobParts;
  /** Default: those of the job. */
  readonly stages?: readonly CharacterStage[];
}

const startCommands: readonly StartCommand[] = [
  {
    name: 'start',
    description: 'images, captions, training, and a LoRA in ComfyUI that is proven to work',
    parts: { images: true, captions: true, training: true },
  },
  {
    name: 'generate',
    description: 'only the images, as a new dataset folder',
    parts: { images: true, captions: true },
    stages: ['generate'],
  },
  {
    name: 'tag',
    description: 'only the captions of an existing dataset folder',
    parts: { captions: true, existing: true },
    stages: ['tag'],
  },
  {
    name: 'train',
    description: 'only the training on an existing dataset folder, and the delivery of its LoRA',
    parts: { training: true, existing: true },
    stages: ['train'],
  },
];

/** `tower character …`. */
export function addCharacterCommand(program: Command, setExitCode: SetExitCode): void {
  const character = program.command('character').description('LoRAs of characters: from a description to ComfyUI');
  for (const command of startCommands) addStartCommand(character, command, setExitCode);
  addJobOptions(character.command('plan'), { images: true, captions: true, training: true })
    .description('the images that a job would render, and how they cover the variations; needs no server and no GPU')
    .action(async (options: JobOptions, command: Command) => {
      const { planCharacter } = await import('./plan-character.js');
      await planCharacter(options, await contextOf(command));
    });
  character
    .command('list')
    .description('all runs: id, name, status, stage, priority')
    .option('--open', 'only those that have not ended')
    .option('-n <count>', 'how many, newest first', positiveNumber, 50)
    .action(async (options: { open?: boolean; n: number }, command: Command) => {
      const { listCharacters } = await import('./list-characters.js');
      await listCharacters(options, await contextOf(command));
    });
  addControlCommands(character, setExitCode);
}

function positiveNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 1 or more.');
  return Number(text);
}

function addStartCommand(
  character: Command,
  { name, description, parts, stages }: StartCommand,
  setExitCode: SetExitCode,
): void {
  addJobOptions(character.command(name), parts)
    .description(description)
    .option(
      '--run <run>',
      'go on with an earlier run that failed or was cancelled, with the job that it has: elara/1 or character_elara_v1',
    )
    .option('--wait', 'show progress until it has ended')
    .option('--timeout <duration>', 'with --wait: give up waiting after so long; the work goes on', parseDuration)
    .action(async (options: StartOptions, command: Command) => {
      const { startCharacter } = await import('./start-character.js');
      setExitCode(await startCharacter(options, stages, await contextOf(command)));
    });
}
