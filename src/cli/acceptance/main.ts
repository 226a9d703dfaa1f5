import { Command, InvalidArgumentError } from 'commander';

import { exitCodeOf, exitCodes } from '../exit-codes.js';
import { createOutput } from '../output.js';
import { TowerError } from '../../errors.js';
import type { AcceptanceOptions } from './options.js';

/**
 * `npm run acceptance -- --comfyui <address or folder> --sd-scripts <folder>`: the whole Character LoRA, small, against the
 * user's own programs; it ends with a table of what was proven.
 */
const program = new Command('acceptance')
  .description('a whole character LoRA, small, with your own ComfyUI and sd-scripts; also on a CPU')
  .requiredOption('--comfyui <address or folder>', 'a running ComfyUI, or the folder of one, which is started then')
  .requiredOption('--sd-scripts <folder>', 'sd-scripts, or kohya_ss with sd-scripts in it')
  .option(
    '--checkpoint <name or path>',
    'checkpoint for images and training; default: the only one that this ComfyUI has',
  )
  .option('--python <path>', "Python of sd-scripts' environment, and of ComfyUI's when it is started here")
  .option('--comfyui-python <path>', 'another Python for ComfyUI')
  .option('--comfyui-directory <folder>', 'for an address: the folder of that ComfyUI on this machine')
  .option('--images <number>', 'how many', wholeNumber, 4)
  .option('--size <pixels>', 'width and height', wholeNumber, 64)
  .option('--steps <number>', 'sampling steps', wholeNumber, 2)
  .option('--with <path=value>', 'any other key of the job; may be repeated', (value: string, all: string[] = []) => [
    ...all,
    value,
  ])
  .option('--nvidia-smi <command>', 'what tells the GPUs; none: everything runs on the CPU', 'nvidia-smi')
  .option('--home <folder>', 'state directory; default: a new folder, which stays')
  .option('--timeout <minutes>', 'for everything together', wholeNumber, 120)
  .option('--json', 'print the proofs as JSON')
  .exitOverride()
  .action(async (options: AcceptanceOptions) => {
    const { runAcceptance } = await import('./run-acceptance.js');
    const output = createOutput(options.json ?? false);
    try {
      process.exitCode = await runAcceptance(options, output);
    } catch (error) {
      output.error(error);
      process.exitCode = error instanceof TowerError ? exitCodeOf(error.code) : exitCodes.failed;
    }
  });

function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 1 or more.');
  return Number(text);
}

await program.parseAsync().catch((error: unknown) => {
  const code = error instanceof Error && 'exitCode' in error ? Number(error.exitCode) : exitCodes.failed;
  process.exitCode = code === 0 ? exitCodes.ok : exitCodes.usage;
});
