import { LaunchFollower } from './follow.js';
import type { LaunchDirectory } from './run-directory.js';
import type { TrainerDriver } from './trainer-driver.js';
import type { StepEvent, TrainerEvent } from './trainer-events.js';

type EventOf<Name extends TrainerEvent['event']> = Extract<TrainerEvent, { event: Name }>;

/** What one launch has reported so far, without its single steps. */
export class LaunchSummary {
  #start: EventOf<'start'> | undefined;
  #lastStep: StepEvent | undefined;
  #lastLoss: number | undefined;
  #reached = 0;
  readonly #others: TrainerEvent[] = [];

  add(event: TrainerEvent): void {
    if (event.event === 'step') {
      this.#lastStep = event;
      this.#lastLoss = event.loss ?? this.#lastLoss;
    } else this.#others.push(event);
    if (event.event === 'start') {
      this.#start = event;
      this.#reached = Math.max(this.#reached, event.resumedFromStep);
    } else if ('step' in event) {
      this.#reached = Math.max(this.#reached, event.step);
    }
  }

  get start(): EventOf<'start'> | undefined {
    return this.#start;
  }

  get lastStep(): StepEvent | undefined {
    return this.#lastStep;
  }

  /** The newest loss of a step; some trainers tell it a moment after the step. */
  get lastLoss(): number | undefined {
    return this.#lastLoss;
  }

  /** The highest optimiser step that any event proves; steps logged in groups count once their group is reported. */
  get reachedStep(): number {
    return this.#reached;
  }

  /** Every event but the single steps, of which the last stands at the end. */
  get events(): readonly TrainerEvent[] {
    return this.#lastStep === undefined ? this.#others : [...this.#others, this.#lastStep];
  }

  last<Name extends TrainerEvent['event']>(name: Name): EventOf<Name> | undefined {
    return this.#others.findLast((event): event is EventOf<Name> => event.event === name);
  }
}

/** Summary and end of the output of a launch that has ended. */
export async function summarizeLaunch(
  files: LaunchDirectory,
  driver: Pick<TrainerDriver, 'createParser'>,
): Promise<{ summary: LaunchSummary; tail: string }> {
  const follower = new LaunchFollower(files, driver);
  const summary = new LaunchSummary();
  try {
    for await (const event of follower.newEvents({ ended: true })) summary.add(event);
    return { summary, tail: follower.tail };
  } finally {
    await follower.close();
  }
}
