import { CancellationScope, condition, patched } from '@temporalio/workflow';

import type { CheckedCharacter } from '../activities/character/interfaces.js';
import type { CharacterDisplay } from './character-display.js';
import type { CharacterSlot } from './character-slot.js';
import type { PauseControl } from './pause-control.js';

/** The stage of a run that waits for a place. */
export const waitingForSlot = 'wait for a slot';

export interface PlaceOwner {
  readonly checked: CheckedCharacter;
  readonly pause: PauseControl;
  readonly slot: CharacterSlot;
  readonly display: CharacterDisplay;
}

/** Waits for a place among the runs at work. */
export async function waitForPlace({ checked, slot, display }: PlaceOwner): Promise<void> {
  display.stage(waitingForSlot);
  await slot.acquire({ max: checked.maxConcurrent, level: checked.priority });
}

/** Runs `work`, whose place others have while a person has paused the run; after the pause it waits for one again. */
export async function sharingPlace<Result>(owner: PlaceOwner, work: () => Promise<Result>): Promise<Result> {
  const watch = new CancellationScope();
  // Cancelled together with the work, or after it.
  void watch.run(() => giveAndTake(owner)).catch(() => undefined);
  try {
    return await work();
  } finally {
    watch.cancel();
  }
}

async function giveAndTake(owner: PlaceOwner): Promise<void> {
  const { pause, slot, display } = owner;
  for (;;) {
    await condition(() => pause.settled && slot.held);
    if (!patched('place-while-paused')) return;
    // Captions, checks and deliveries come to their end first: so long the run is at work.
    if (!pause.atRest && patched('place-when-at-rest')) {
      await condition(() => pause.atRest || !pause.paused);
      if (!pause.atRest || !slot.held) continue;
    }
    pause.hold(true);
    await slot.release();
    await condition(() => !pause.paused);
    const stage = display.currentStage;
    await waitForPlace(owner);
    if (display.currentStage === waitingForSlot) display.stage(stage);
    pause.hold(false);
  }
}
