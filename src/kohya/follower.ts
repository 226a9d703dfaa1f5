import { undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Log } from '../log/logger.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import { checkOutput } from './artefact.js';
import { findCheckpoints } from './checkpoints.js';
import { classifyExit } from './classify-exit.js';
import { readOrderedOptions } from './epochs.js';
import type { LaunchedOrder } from './order.js';
import { createOutputParser } from './output-parser.js';
import { kohyaPlanSchema, kohyaRunFiles } from './run-files.js';

/** What of a driver follows and judges launches, and starts none. */
export type KohyaFollower = Omit<TrainerDriver, 'prepare' | 'command'>;

interface FollowedOrder extends LaunchedOrder {
  /** Name of the driver. */
  readonly name: string;
  /** Rungs above 0 of the out-of-memory ladder, in words. */
  readonly memoryLadder: readonly string[];
  /** Samples are drawn after each epoch. */
  readonly samples: boolean;
  /** Epochs from one state to the next. */
  readonly saveEveryEpochs: number;
}

export function createFollower({
  name,
  memoryLadder,
  samples,
  saveEveryEpochs,
  ...order
}: FollowedOrder): KohyaFollower {
  const { simulated } = order.trainer;
  const context = { simulated, outputName: order.run.outputName, samples };
  const output = { createParser: () => createOutputParser(context) };
  return {
    ...{ name, simulated, memoryLadder, work: 'training', pauseBy: 'next-checkpoint', ...output },
    stateInterval: Math.min(1, saveEveryEpochs / order.rungs[0].options.max_train_epochs),
    completeCheckpoints: (memoryRung) => findCheckpoints(order, output, memoryRung),
    classify: classifyExit,
    checkArtefact: () => checkOutput(order, output),
  };
}

/**
 * Follows a run by what was recorded before its newest launch: neither its images nor sd-scripts need to be what they were then.
 *
 * @returns `undefined` when the run was not prepared yet, or its files are gone.
 * @throws TowerError `FILE_INVALID`
 */
export async function recordedFollower(run: {
  readonly runDirectory: string;
  readonly log: Log;
}): Promise<KohyaFollower | undefined> {
  const plan = await readJsonIfExists(kohyaRunFiles(run.runDirectory).plan, kohyaPlanSchema);
  if (plan === undefined) return undefined;
  const { driver, simulated, baseModelKind, outputName, epochs, samples } = plan;
  const rungOf = async (number: number, output: string) => {
    const { comment, saveEveryEpochs, options } = await readOrderedOptions(run.runDirectory, number);
    return { comment, saveEveryEpochs, output, options: { ...options, max_train_epochs: epochs } };
  };
  const rungs = await Promise.all(plan.rungs.map(({ output }, number) => rungOf(number, output))).catch(
    undefinedIfAbsent,
  );
  const [first, ...others] = rungs ?? [];
  if (first === undefined) return undefined;
  return createFollower({
    ...{ name: driver, trainer: { simulated }, run: { ...run, baseModelKind, outputName }, comment: first.comment },
    rungs: [first, ...others],
    memoryLadder: plan.rungs.slice(1).map(({ description }) => description),
    samples: samples > 0,
    saveEveryEpochs: first.saveEveryEpochs,
  });
}

/**
 * A driver that follows by the record until it has to start a trainer: only then it is built anew, by what is there now.
 *
 * @param build - May throw; then nothing is started.
 */
export function followingFirst(recorded: KohyaFollower, build: () => Promise<TrainerDriver>): TrainerDriver {
  let built: TrainerDriver | undefined;
  const present = () => built ?? recorded;
  return {
    get name() {
      return present().name;
    },
    get simulated() {
      return present().simulated;
    },
    get memoryLadder() {
      return present().memoryLadder;
    },
    work: recorded.work,
    pauseBy: recorded.pauseBy,
    ...(recorded.stateInterval !== undefined && { stateInterval: recorded.stateInterval }),
    async prepare() {
      const driver = await build();
      await driver.prepare();
      built = driver;
    },
    command(options) {
      if (built === undefined) throw new Error('a driver is asked for its command before it has prepared');
      return built.command(options);
    },
    createParser: () => present().createParser(),
    completeCheckpoints: (memoryRung) => present().completeCheckpoints(memoryRung),
    classify: (...end) => present().classify(...end),
    checkArtefact: () => present().checkArtefact(),
  };
}
