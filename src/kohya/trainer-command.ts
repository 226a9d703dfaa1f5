import { allocatorEnvironment } from '../gpu/allocator-environment.js';
import type { TrainerCommand } from '../training/trainer-driver.js';
import type { EpochState } from './states.js';

/** A program that takes the arguments of the training scripts: these themselves, or the stand-in. */
export interface ScriptProgram {
  readonly argv: readonly [string, ...string[]];
  readonly workingDirectory: string;
  /** Beside what every script gets. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** What is said on each start; everything else stands in the configuration. */
export interface ScriptLaunch {
  readonly config: string;
  readonly dataset: string;
  readonly resume: EpochState | undefined;
  readonly cuda: boolean;
  readonly hideGpus: boolean;
}

/**
 * One launch, without `accelerate launch`, which one GPU does not need and which hides the exit code. The epoch is said on
 * every resume: what a resumed run saves counts its steps wrongly (contract kohya.md, section 6.2).
 */
export function trainerCommand(
  program: ScriptProgram,
  { config, dataset, resume, cuda, hideGpus }: ScriptLaunch,
): TrainerCommand {
  return {
    argv: [
      ...program.argv,
      ...['--config_file', config, '--dataset_config', dataset, '--console_log_simple'],
      ...(resume === undefined ? [] : ['--resume', resume.path, '--initial_epoch', String(resume.epoch + 1)]),
    ],
    workingDirectory: program.workingDirectory,
    environment: {
      // Without it the lines of an epoch come when the trainer ends.
      PYTHONUNBUFFERED: '1',
      TOKENIZERS_PARALLELISM: 'false',
      HF_HUB_DISABLE_TELEMETRY: '1',
      ...(hideGpus && { CUDA_VISIBLE_DEVICES: '' }),
      // As `accelerate launch --num_cpu_threads_per_process 1`; a training on the CPU wants all of them.
      ...(cuda && { OMP_NUM_THREADS: '1', ...allocatorEnvironment() }),
      ...program.environment,
    },
  };
}
