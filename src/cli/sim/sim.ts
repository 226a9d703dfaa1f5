import { InvalidArgumentError, Option, type Command } from 'commander';

import { contextOf } from '../command-context.js';

import type { SimulatedComfyuiOptions } from './simulated-comfyui.js';

interface SimOptions {
  readonly directory?: string;
  readonly port: number;
  readonly faults?: string;
}

/** `tower sim`: servers that speak the protocols of the real ones, to try Tower out. */
export function addSimCommand(program: Command): void {
  const sim = program.command('sim').description('simulated servers, to try Tower without the real ones');
  sim
    .command('signz')
    .description('a simulated Signz-Mind server, in the foreground until Ctrl-C')
    .option('--directory <folder>', 'where it keeps everything; default: sim/signz-mind in the state directory')
    .option('--port <number>', 'on the loopback address; 0 takes a free one', parsePort, 0)
    .option('--faults <file>', 'JSON list of { route, name?, times?, fault }: what goes wrong, and how often')
    .action(async (options: SimOptions, command: Command) => {
      const { runSimulatedSignzMind } = await import('./simulated-signz-mind.js');
      await runSimulatedSignzMind(options, await contextOf(command));
    });
  sim
    .command('comfyui')
    .description('a simulated ComfyUI, in the foreground until Ctrl-C')
    .option('--directory <folder>', 'where its folders are; default: sim/comfyui in the state directory')
    .option('--models <folder>', 'another models folder; default: models in its directory, with a simulated checkpoint')
    .option('--port <number>', 'on the loopback address; 0 takes a free one', parsePort, 0)
    .addOption(
      new Option('--dialect <letter>', 'A is 0.3.64, B is 0.12.1, N is later').choices(['A', 'B', 'N']).default('B'),
    )
    .option('--render-time <milliseconds>', 'how long an image takes', parseMilliseconds, 2000)
    .option('--faults <file>', 'JSON list of what goes wrong, and how often')
    .action(async (options: SimulatedComfyuiOptions, command: Command) => {
      const { runSimulatedComfyui } = await import('./simulated-comfyui.js');
      await runSimulatedComfyui(options, await contextOf(command));
    });
}

function parseMilliseconds(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number of milliseconds.');
  return Number(text);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('Expected a port from 0 to 65535.');
  return port;
}
