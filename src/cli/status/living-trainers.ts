import { allLivingLaunches } from '../../training/living-launches.js';
import type { CommandContext } from '../command-context.js';

/** Trainers of this state directory that run now, whether or not a worker follows them. */
export async function livingTrainers({
  paths,
}: Pick<CommandContext, 'paths'>): Promise<{ run: string; pid: number }[]> {
  const living = await allLivingLaunches(paths.runs);
  return living.map(({ run, launch: { process } }) => ({ run, pid: process.trainerPid ?? process.pid }));
}
