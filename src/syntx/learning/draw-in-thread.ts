import type { ServiceOptions } from '../../service-options.js';
import { JobThread } from '../../threads/job-thread.js';
import type { DrawInput, Drawn } from './draw.js';
import type { drawPrompts, LearningOptions } from './policy.js';
import { learnedFacts } from './scored-job.js';

export interface DrawJob {
  readonly input: DrawInput;
  readonly options: LearningOptions;
}

const thread = new JobThread<DrawJob, Drawn>({ name: 'draw', program: 'syntx/learning/draw-program' });

/**
 * {@link drawPrompts} in a thread, so that heartbeats go on: 28 cells take some tenths of a second, a thousand of them half a minute.
 *
 * @throws the signal's reason after an abort; the draw itself goes on to its end
 */
export async function drawInThread(
  { jobs, ...rest }: DrawInput,
  options: LearningOptions,
  { signal }: Pick<ServiceOptions, 'signal'>,
): Promise<ReturnType<typeof drawPrompts>> {
  return thread.run({ input: { jobs: learnedFacts(jobs), ...rest }, options }, { signal });
}
