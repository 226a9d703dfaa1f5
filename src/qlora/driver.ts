import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { undefinedIfAbsent } from '../files/absent.js';
import { writeJsonDurable } from '../files/durable-write.js';
import type { Log } from '../log/logger.js';
import type { Simulation } from '../sims/qlora-trainer/config.js';
import type { TrainerCommand, TrainerCommandOptions, TrainerDriver } from '../training/trainer-driver.js';
import { checkAdapter } from './adapter-check.js';
import { findCompleteCheckpoints } from './checkpoints.js';
import { classifyExit } from './classify-exit.js';
import type { QloraHyperparameters } from './hyperparameters.js';
import { memoryLadder, overridesOfRung } from './memory-ladder.js';
import { parseEvent } from './parse-event.js';
import { simulatedProgram, trainerProgram } from './trainer-program.js';

export interface QloraRun {
  /** The run's folder with `dataset/train.jsonl` and, if there is one, `dataset/heldout.jsonl`. Absolute. */
  readonly runDirectory: string;
  readonly config: QloraHyperparameters;
  readonly log: Log;
}

/** The driver of the real trainer, `trainers/qlora`. `python` is the interpreter of its environment. */
export function createQloraDriver(run: QloraRun & { readonly python: string }): TrainerDriver {
  return createDriver(run, { name: 'qlora', program: trainerProgram(run.python, 'qlora.train') });
}

/** The driver of the simulated trainer, which differs from the real one by its command alone. */
export function createSimulatedQloraDriver(run: QloraRun & { readonly simulation?: Simulation }): TrainerDriver {
  return createDriver(run, {
    name: 'qlora-simulated',
    program: simulatedProgram('qlora-trainer', 'TOWER_SIMULATED_TRAINER_FAULT'),
    simulation: run.simulation ?? {},
  });
}

interface Trainer {
  readonly name: string;
  readonly program: TrainerCommand;
  /** Present for the simulated trainer only. */
  readonly simulation?: Simulation;
}

function createDriver({ runDirectory, config, log }: QloraRun, trainer: Trainer): TrainerDriver {
  const configPath = join(runDirectory, 'config.json');
  const output = join(runDirectory, 'output');
  const simulated = trainer.simulation !== undefined;
  const ladder = memoryLadder(config);

  return {
    name: trainer.name,
    simulated,
    work: 'training',
    pauseBy: 'SIGUSR1',
    memoryLadder: ladder.map(({ description }) => description),

    async prepare() {
      const heldOut = join(runDirectory, 'dataset', 'heldout.jsonl');
      await writeJsonDurable(configPath, {
        ...config,
        trainDataset: join(runDirectory, 'dataset', 'train.jsonl'),
        heldOutDataset: (await hasContent(heldOut)) ? heldOut : null,
        output,
        ...(simulated && { simulation: trainer.simulation }),
      });
    },

    command({ resumeFrom, memoryRung }: TrainerCommandOptions) {
      const overrides = Object.entries(overridesOfRung(ladder, memoryRung));
      return {
        ...trainer.program,
        argv: [
          ...trainer.program.argv,
          configPath,
          ...(resumeFrom === undefined ? [] : ['--resume-from', resumeFrom.path]),
          ...overrides.flatMap(([name, value]) => ['--set', `${name}=${JSON.stringify(value)}`]),
        ],
      };
    },

    createParser: () => parseEvent,

    completeCheckpoints() {
      return findCompleteCheckpoints(output, join(runDirectory, 'broken'), log);
    },

    classify: classifyExit,

    checkArtefact() {
      return checkAdapter(join(output, 'adapter'), { simulated });
    },
  };
}

async function hasContent(path: string): Promise<boolean> {
  return ((await stat(path).catch(undefinedIfAbsent))?.size ?? 0) > 0;
}
