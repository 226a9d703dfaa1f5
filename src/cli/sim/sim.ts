import { InvalidArgumentError, Option, type Command } from 'commander';

import { contextOf } from '../command-context.js';

import type { SimulatedComfyuiOptions } from './simulated-comfyui.js';
import type { SimulatedLlmOptions } from './simulated-llm.js';
import type { SimulatedSyntxOptions } from './simulated-syntx.js';

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
  sim
    .command('llm')
    .description('a simulated OpenAI-compatible endpoint, in the foreground until Ctrl-C')
    .option('--port <number>', 'on the loopback address; 0 takes a free one', parsePort, 0)
    .option('--latency <milliseconds>', 'how long a completion takes', parseMilliseconds, 0)
    .option('--faults <file>', 'JSON list of { containing?, after?, times?, fault }: what goes wrong, and how often')
    .action(async (options: SimulatedLlmOptions, command: Command) => {
      const { runSimulatedLlm } = await import('./simulated-llm.js');
      await runSimulatedLlm(options, await contextOf(command));
    });
  sim
    .command('syntx')
    .description('a simulated SYNTX wrapper service, in the foreground until Ctrl-C')
    .option('--directory <folder>', 'where its call log lies; default: sim/syntx in the state directory')
    .option('--port <number>', 'on the loopback address; 0 takes a free one', parsePort, 0)
    .option('--seed <text>', 'draws the hidden landscape of scores', 'simulated')
    .option(
      '--landscape <file>',
      'JSON { means, otherwise?, noise?, seed? } instead: mean scores by wrapper, style and category',
    )
    .option('--defects <file>', 'JSON { misplacedRoute?, fallbackWrapper?, oldAnswer? }: defects of the real service')
    .option('--faults <file>', 'JSON list of { wrapper?, path?, containing?, times?, fault }: what goes wrong')
    .option('--latency <milliseconds>', 'how long the model takes', parseMilliseconds, 200)
    .action(async (options: SimulatedSyntxOptions, command: Command) => {
      const { runSimulatedSyntx } = await import('./simulated-syntx.js');
      await runSimulatedSyntx(options, await contextOf(command));
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
