import { simulatedProgram } from '../qlora/trainer-program.js';
import type { SdScriptsSimulation } from '../sims/sd-scripts/simulation.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import { baseModels, type Precision } from './base-model.js';
import { stateOf } from './checkpoints.js';
import { createFollower } from './follower.js';
import { scriptFor, type KohyaInstallation } from './installation.js';
import { createOrder, type KohyaOrder, type KohyaRun } from './order.js';
import { prepareRun } from './prepare-run.js';
import { kohyaRunFiles } from './run-files.js';
import { trainerCommand, type ScriptProgram } from './trainer-command.js';

export interface RealKohyaRun extends KohyaRun {
  readonly installation: KohyaInstallation;
  /** Interpreter of the environment of sd-scripts. */
  readonly python: string;
  /** What `mixed_precision` `auto` means here (`choosePrecision`); `no` also says that Tower found no GPU. */
  readonly precision: Precision;
  /** The configuration says that there is no GPU: sd-scripts must not find one either. */
  readonly hideGpus?: boolean;
  /** Added to the trainer's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * The driver of the real sd-scripts.
 *
 * @throws TowerError `SD_SCRIPTS_NOT_FOUND` when it has no script for the base model, `KOHYA_OPTIONS_INVALID`,
 *   `KOHYA_OUTPUT_NAME_INVALID`.
 */
export async function createKohyaDriver(run: RealKohyaRun): Promise<TrainerDriver> {
  const { installation, python, precision, hideGpus = false, environment } = run;
  const { root, capabilities } = installation;
  const script = await scriptFor(installation, run.baseModelKind);
  const device = precision === 'no' ? 'cpu' : 'cuda';
  const order = createOrder(run, { name: 'kohya', simulated: false, precision, device, hideGpus, capabilities });
  return createDriver(order, { argv: [python, script], workingDirectory: root, environment });
}

/** The driver of the stand-in for sd-scripts, which differs from the real one by its command alone. */
export function createSimulatedKohyaDriver(
  run: KohyaRun & { readonly simulation?: SdScriptsSimulation },
): TrainerDriver {
  const { simulation = {} } = run;
  const program = simulatedProgram('sd-scripts', 'TOWER_SIMULATED_SD_SCRIPTS_FAULT');
  const order = createOrder(run, {
    name: 'kohya-simulated',
    simulated: true,
    precision: 'no',
    device: 'cpu',
    capabilities: {
      version: null,
      commit: null,
      python: null,
      torch: null,
      validation: simulation.validation ?? true,
      tensorboard: false,
      bitsandbytes: true,
      options: null,
    },
  });
  return createDriver(order, {
    ...program,
    argv: [...program.argv, baseModels[run.baseModelKind].script],
    environment: { ...program.environment, TOWER_SIMULATED_SD_SCRIPTS: JSON.stringify(simulation) },
  });
}

function createDriver(order: KohyaOrder, program: ScriptProgram): TrainerDriver {
  const { run, trainer, rungs, comment } = order;
  const files = kohyaRunFiles(run.runDirectory);
  const follower = createFollower({
    ...{ name: trainer.name, trainer, run, rungs, comment },
    memoryLadder: rungs.slice(1).map(({ description }) => description),
    samples: run.samples.length > 0,
    saveEveryEpochs: run.options.save_every_n_epochs,
  });
  return {
    ...follower,

    prepare: () => prepareRun(order, follower),

    command({ resumeFrom, memoryRung }) {
      const rung = Math.min(memoryRung, rungs.length - 1);
      const resume = resumeFrom === undefined ? undefined : stateOf(order, resumeFrom);
      const launch = {
        config: files.config(rung),
        dataset: files.dataset(rung),
        resume,
        cuda: trainer.device === 'cuda',
        hideGpus: trainer.hideGpus ?? false,
      };
      return trainerCommand(program, launch);
    },
  };
}
