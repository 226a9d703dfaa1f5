import { join } from 'node:path';

import { namesIn } from '../files/absent.js';
import { LaunchFollower } from '../training/follow.js';
import { readLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { readEventFile, type LoggedScalar } from './event-file.js';
import { createOutputParser } from './output-parser.js';
import { kohyaRunFiles, type KohyaPlan } from './run-files.js';

/** Losses at the end of an epoch: the mean over its training steps, and over the held-out images at fixed time steps and noise. */
export interface EpochLosses {
  readonly train: number | null;
  readonly heldOut: number | null;
  /** `tensorboard`: as calculated; `console`: rounded to three digits. */
  readonly source: 'tensorboard' | 'console';
}

const tags = { train: 'loss/epoch_average', heldOut: 'loss/validation/epoch_average' } as const;

/**
 * Losses by epoch (from 1). TensorBoard's log has all their digits; without TensorBoard the console tells them. A later launch did an epoch
 * again: its values count.
 */
export async function readEpochLosses(directory: string, plan: KohyaPlan): Promise<Map<number, EpochLosses>> {
  const losses = await consoleLosses(directory, plan);
  for (const { tag, step: epoch, value } of await loggedScalars(directory)) {
    const name = tag === tags.train ? 'train' : tag === tags.heldOut ? 'heldOut' : undefined;
    if (name === undefined) continue;
    const known = losses.get(epoch);
    const kept = known?.source === 'tensorboard' ? known : { train: null, heldOut: null };
    losses.set(epoch, { ...kept, [name]: value, source: 'tensorboard' });
  }
  return losses;
}

async function consoleLosses(directory: string, plan: KohyaPlan): Promise<Map<number, EpochLosses>> {
  const losses = new Map<number, EpochLosses>();
  const set = (epoch: number, part: Partial<EpochLosses>): void => {
    losses.set(epoch, { train: null, heldOut: null, ...losses.get(epoch), ...part, source: 'console' });
  };
  const context = { simulated: plan.simulated, outputName: plan.outputName, samples: plan.samples > 0 };
  for (const { files } of await readLaunches(runDirectory(directory))) {
    const follower = new LaunchFollower(files, { createParser: () => createOutputParser(context) });
    let stepsPerEpoch = Infinity;
    let loss: number | null = null;
    try {
      for await (const event of follower.newEvents({ ended: true })) {
        if (event.event === 'start') {
          stepsPerEpoch = event.totalSteps / plan.epochs;
          const finished = event.resumedFromStep / stepsPerEpoch;
          for (const epoch of losses.keys()) if (epoch > finished) losses.delete(epoch);
        } else if (event.event === 'step') {
          // The last step of an epoch comes last, and its mean is over exactly this epoch. A loss that stays is told once.
          loss = event.loss ?? loss;
          set(Math.ceil(event.step / stepsPerEpoch), { train: loss });
        } else if (event.event === 'eval') {
          set(Math.ceil(event.step / stepsPerEpoch), { heldOut: event.loss });
        }
      }
    } finally {
      await follower.close();
    }
  }
  return losses;
}

/** `tensorboard/<time of the launch>/network_train/events.out.tfevents.*`, oldest scalar first. */
async function loggedScalars(directory: string): Promise<LoggedScalar[]> {
  const { tensorboard } = kohyaRunFiles(directory);
  const scalars: LoggedScalar[] = [];
  for (const launch of await namesIn(tensorboard)) {
    const folder = join(tensorboard, launch, 'network_train');
    for (const name of (await namesIn(folder)).filter((each) => each.includes('.tfevents.'))) {
      scalars.push(...(await readEventFile(join(folder, name))));
    }
  }
  return scalars.sort((one, other) => one.wallTime - other.wallTime);
}
