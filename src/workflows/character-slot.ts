import { condition, defineSignal, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';

import type { CharacterPriority, CharacterTowerActivities } from '../activities/character/interfaces.js';
import { slotGrantedSignal } from './names.js';
import { briefPolicy } from './policies.js';

const slotGranted = defineSignal<[number]>(slotGrantedSignal);
const tower = proxyActivities<CharacterTowerActivities>(briefPolicy);

/** Asked again after this long, should the workflow that gives places have been deleted. */
const askAgainAfter = '30 minutes';

/** This run's place among the character runs at work. One instance for each workflow execution. */
export class CharacterSlot {
  #number = 0;
  #granted = 0;
  #asked = false;

  constructor() {
    setHandler(slotGranted, (number) => {
      this.#granted = number;
    });
  }

  get held(): boolean {
    return this.#asked && this.#granted === this.#number;
  }

  /** Waits for a place: whoever presses more gets it first, then whoever has asked first. Ends without one when it is released meanwhile. */
  async acquire({ max, level }: { readonly max: number; readonly level: CharacterPriority }): Promise<void> {
    this.#number += 1;
    const { workflowId } = workflowInfo();
    this.#asked = true;
    do {
      await tower.requestSlot({ workflowId, number: this.#number, max, level });
    } while (!(await condition(() => this.held || !this.#asked, askAgainAfter)));
  }

  /** A no-op without a place or a request for one. */
  async release(): Promise<void> {
    if (!this.#asked) return;
    await tower.releaseSlot({ workflowId: workflowInfo().workflowId });
    this.#asked = false;
  }
}
