import { Option, type Command } from 'commander';

import { contextOf } from '../command-context.js';

interface DeviceOptions {
  readonly device: 'auto' | 'cpu' | 'cuda';
}

/** `tower trainer install|path|stop`. */
export function addTrainerCommand(program: Command): void {
  const trainer = program
    .command('trainer')
    .description('the Python environment that training needs, and trainers that run');
  trainer
    .command('install')
    .description('build it in the cache, once for all checkouts, and prove it by one training step')
    .addOption(deviceOption())
    .action(async (options: DeviceOptions, command: Command) => {
      const { installTrainer } = await import('./trainer-commands.js');
      await installTrainer(options.device, await contextOf(command));
    });
  trainer
    .command('path')
    .description('print the Python that training will use')
    .addOption(deviceOption())
    .action(async (options: DeviceOptions, command: Command) => {
      const { printTrainerPath } = await import('./trainer-commands.js');
      await printTrainerPath(options.device, await contextOf(command));
    });
  trainer
    .command('stop')
    .description('end the trainer of a run, also while Tower is down; its last complete state stays')
    .argument('<run>', 'id of the training run, as `tower status` shows it')
    .action(async (run: string, _options: unknown, command: Command) => {
      const { stopTrainer } = await import('../runs/stop-trainer.js');
      await stopTrainer(run, await contextOf(command));
    });
}

function deviceOption(): Option {
  return new Option('--device <device>', 'auto: train.device of the configuration, else what this machine has')
    .choices(['auto', 'cpu', 'cuda'])
    .default('auto');
}
