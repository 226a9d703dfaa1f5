import { type Client } from '@temporalio/client';

import { TowerError } from '../../errors.js';
import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import { startCharacterRun, type CharacterLoraHandle } from '../character/start-character-lora.js';
import { createProgressView } from '../runs/progress-view.js';
import { watchWorkflow } from '../runs/watch-workflow.js';
import { takeSnapshot } from '../runs/workflow-snapshot.js';
import type { TemporalSession } from '../temporal-client.js';
import type { DemoMachine } from './demo-machine.js';

/** Twelve small images, and a short training of the stand-in, which says `simulated` wherever it shows. */
const job = {
  name: 'Elara',
  description: '1girl, brown hair, blue eyes, fantasy armor, warrior',
  tags: ['1girl', 'brown hair'],
  count: 12,
  width: 128,
  height: 128,
  steps: 4,
  allowSimulated: true,
  deliver: { simulated: true, alias: true },
  kohya: { max_train_epochs: 3, num_repeats: 2, network_dim: 8, network_alpha: 4 },
} as const;

/** Images after which the next day's training comes up. */
const imagesBeforeTraining = 3;

/** A character run that renders while the next daily training comes up, makes way for it, and goes on after it. */
export class DemoCharacter {
  readonly #machine: DemoMachine;
  readonly #handle: CharacterLoraHandle;

  private constructor(machine: DemoMachine, handle: CharacterLoraHandle) {
    this.#machine = machine;
    this.#handle = handle;
  }

  /** Starts the run and waits until it is at work. */
  static async start(machine: DemoMachine, client: Client): Promise<DemoCharacter> {
    const handle = await startCharacterRun(client, { job });
    machine.context.output.say(`Started ${handle.workflowId}: ${job.count} images, then a LoRA`);
    const character = new DemoCharacter(machine, handle);
    await character.#untilAtWork(client);
    return character;
  }

  /** @throws TowerError `DEMO_FAILED` when it did not end as it should. */
  async end(session: Pick<TemporalSession, 'client' | 'connection'>): Promise<CharacterLoraResult> {
    const { context, signal } = this.#machine;
    const view = await createProgressView(context.output);
    try {
      const { workflowId } = this.#handle;
      const outcome = await watchWorkflow(session, { workflowId }, view, signal);
      if (outcome.status === 'completed') return outcome.result as CharacterLoraResult;
      throw failed(`${workflowId} ended as ${outcome.status}: ${outcome.failure?.message ?? 'no reason given'}`);
    } finally {
      view.close();
    }
  }

  async #untilAtWork(client: Client): Promise<void> {
    for (;;) {
      this.#machine.signal.throwIfAborted();
      const { activities, closedAt } = await takeSnapshot(client, this.#handle.workflowId);
      const rendering = activities.find(({ activity }) => activity === 'renderCharacter');
      if ((rendering?.progress?.done ?? 0) >= imagesBeforeTraining) return;
      if (closedAt !== null) throw failed('the character run ended before it could be interrupted');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** What the demo promises of it, as far as it is not true. */
export function characterFaults({ outcome, images, yields, lora, proof, training }: CharacterLoraResult): string[] {
  const faults: string[] = [];
  if (outcome !== 'simulated') faults.push('the character run does not say that it was simulated');
  if (images?.accepted !== job.count) faults.push(`${images?.accepted ?? 0} of ${job.count} images were accepted`);
  if (yields === 0) faults.push('the character run did not make way for the daily training');
  if (training?.executedSteps !== training?.plannedSteps)
    faults.push('executed steps of the LoRA are not the planned ones');
  if (lora?.outcome !== 'published' || proof === null) faults.push('no proven LoRA came of the character run');
  return faults;
}

export function characterLines({
  images,
  yields,
  training,
  chosen,
  lora,
  proof,
  dataset,
}: CharacterLoraResult): string[] {
  return [
    `Elara  images   ${images?.accepted} of ${images?.planned}, made way for the daily training ${yields} time(s) [simulated]`,
    `       steps    ${training?.executedSteps} of ${training?.plannedSteps} planned, epoch ${chosen?.epoch} chosen [simulated]`,
    `       LoRA     ${lora?.outcome === 'published' ? lora.name : 'none'}, changes ${((proof?.changedShare ?? 0) * 100).toFixed(0)} % of the pixels [simulated]`,
    `       dataset  ${dataset}`,
  ];
}

function failed(message: string): TowerError {
  return new TowerError('DEMO_FAILED', message, { next: 'Look at logs/tower.log in the state directory of the demo.' });
}
