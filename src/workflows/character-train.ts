import { patched, proxyActivities } from '@temporalio/workflow';

import type {
  CharacterGpuActivities,
  CharacterHostActivities,
  ChosenEpoch,
  ProofRecord,
  PublishRecord,
} from '../activities/character/interfaces.js';
import type { TrainedOutcome } from '../activities/interfaces.js';
import { waitedFor } from './cancellation.js';
import type { CharacterParts } from './character-dataset.js';
import { cleared, untilPaused } from './character-render.js';
import { nothingSaved } from './pause-control.js';
import { characterPriority, gpuPolicy, hostWorkPolicy, imagesPlacement } from './policies.js';
import { withinLimit } from './stage-limit.js';
import { superviseTraining, trainingPolicy } from './train-run.js';

/** `null`: the stage was not asked for, or there was nothing to publish or to prove. */
export interface CharacterLora {
  readonly training: TrainedOutcome | null;
  readonly chosen: ChosenEpoch | null;
  readonly lora: PublishRecord | null;
  readonly proof: ProofRecord | null;
}

/** Trains, chooses an epoch, publishes it and proves that it works. */
export async function makeLora(parts: CharacterParts): Promise<CharacterLora> {
  const { checked, pause } = parts;
  if (!checked.stages.includes('train')) return { training: null, chosen: null, lora: null, proof: null };
  await pause.gate();
  const { train, deliver } = checked.timeoutMs;
  const training = await withinLimit({ stage: 'train', limitMs: train, pause }, () => trainLora(parts));
  await pause.gate();
  const delivery = await withinLimit({ stage: 'deliver', limitMs: deliver, pause }, () => deliverLora(parts));
  return { training, ...delivery };
}

async function trainLora({ checked, prepared, placement, display, pause }: CharacterParts): Promise<TrainedOutcome> {
  display.stage('train');
  const run = { id: prepared.run, generation: prepared.generation, summary: `train ${prepared.run}` };
  const priority = characterPriority(checked.priority).training;
  const gpu = proxyActivities<CharacterGpuActivities>(trainingPolicy(run, placement, priority));
  const training = await superviseTraining(run, {
    placement,
    pause,
    train: (reference) => gpu.trainCharacter(reference),
  });
  display.trained(training);
  if (training.simulated) display.simulated();
  return training;
}

async function deliverLora(parts: CharacterParts): Promise<Omit<CharacterLora, 'training'>> {
  const { checked, prepared, placement, display, pause } = parts;
  const { run } = prepared;
  // What is published by the time the run ends has to be on its record.
  const host = proxyActivities<CharacterHostActivities>(waitedFor(hostWorkPolicy(placement)));
  display.stage('choose');
  const chosen = await host.chooseEpoch({ run });
  display.chose(chosen);

  display.stage('publish');
  const lora = await host.publishLora({ run });
  display.published(lora);
  if (lora.outcome === 'withheld') return { chosen, lora, proof: null };

  await pause.gate();
  display.stage('prove');
  const proof = await proveLora(parts, lora.name);
  display.proven(proof);
  if (!checked.alias) return { chosen, lora, proof };
  // Graphs that name the alias must not get a LoRA of which nobody knows that it works.
  const aliased = await host.publishAlias({ run });
  display.published(aliased);
  return { chosen, lora: aliased, proof };
}

/** A pause ends the proof, also in the wait for the GPU; after it the proof goes on with the images that it has. */
async function proveLora(
  { checked, prepared: { run }, placement, pause }: CharacterParts,
  name: string,
): Promise<ProofRecord> {
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  const images = imagesPlacement(placement, checked);
  const gpu = proxyActivities<CharacterGpuActivities>({
    ...gpuPolicy(images),
    summary: `prove ${name}`,
    priority: characterPriority(checked.priority).training,
  });
  for (;;) {
    const proof = await untilPaused(
      pause,
      () => cleared(host, run, () => gpu.proveLora({ run, gpuIndex: images.gpuIndex })),
      { saved: () => Promise.resolve(nothingSaved), mayInterrupt: () => patched('pause-in-proof') },
    );
    if (proof !== undefined) return proof;
    await pause.gate();
  }
}
