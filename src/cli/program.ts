import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Command } from 'commander';

import { packageRoot } from '../files/package-root.js';
import type { SetExitCode } from './exit-codes.js';
import { addAdaptersCommand } from './adapters/adapters.js';
import { addCharacterCommand } from './character/character.js';
import { addConfigCommand } from './config/config.js';
import { addControlCommands } from './runs/control.js';
import { addDataCommand } from './data/data.js';
import { addDemoCommand } from './demo/demo.js';
import { addLogsCommand } from './logs/logs.js';
import { addEvolutionCommand } from './evolution/evolution.js';
import { addQueueCommand } from './queue/queue.js';
import { addScoreCommand } from './score/score.js';
import { addReportCommand } from './runs/report.js';
import { addRunCommand } from './runs/run.js';
import { addScheduleCommand } from './schedule/schedule.js';
import { addSimCommand } from './sim/sim.js';
import { addStatusCommand } from './status/status.js';
import { addTrainerCommand } from './trainer/trainer.js';
import { addUpCommand } from './up/up.js';
import { addWatchCommand } from './runs/watch.js';
import { addWorkerCommand } from './up/worker.js';

const groups: readonly ((program: Command, setExitCode: SetExitCode) => void)[] = [
  addUpCommand,
  addDemoCommand,
  addWorkerCommand,
  addStatusCommand,
  addRunCommand,
  addCharacterCommand,
  addWatchCommand,
  addControlCommands,
  addDataCommand,
  addAdaptersCommand,
  addQueueCommand,
  addScoreCommand,
  addEvolutionCommand,
  addReportCommand,
  addScheduleCommand,
  addLogsCommand,
  addTrainerCommand,
  addConfigCommand,
  addSimCommand,
];

/** The command line `tower`. Commands load their machinery inside their actions, so that `--help` stays quick. */
export function createProgram(setExitCode: SetExitCode): Command {
  const program = new Command('tower')
    .description('Runs a GPU machine unattended: durable training and generation loops on Temporal.')
    .version(version(), '-V, --version')
    .option('--home <folder>', 'state directory (default: TOWER_HOME, else the XDG state folder)')
    .option(
      '--config <file>',
      'configuration file (default: TOWER_CONFIG, else tower/tower.toml in the XDG config folder)',
    )
    .option('--set <path=value>', 'override one setting; may be repeated', collect)
    .option('--json', 'print the result as JSON')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  for (const add of groups) add(program, setExitCode);
  for (const command of program.commands) inheritSettings(program, command);
  return program;
}

function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}

function inheritSettings(parent: Command, command: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheritSettings(command, child);
}

function version(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}
