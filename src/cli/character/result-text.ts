import type { CharacterLoraResult } from '../../workflows/character-lora.js';

/** What came of a run, for people. */
export function characterLines(result: CharacterLoraResult): string[] {
  const { images, captions, training, chosen, lora, proof } = result;
  const loss = (value: number | null) => (value === null ? 'not measured' : value.toFixed(4));
  return [
    `  ${result.outcome}: ${result.reason}`,
    `  dataset: ${result.dataset}`,
    ...(images === null
      ? []
      : [`  images: ${images.accepted} of ${images.planned} accepted, ${images.rejected} rejected`]),
    ...(captions === null
      ? []
      : [
          `  captions: ${captions.images}, ${captions.kept} of them edited by hand, ${captions.withoutMetadata} without metadata`,
        ]),
    ...(training === null
      ? []
      : [
          `  steps: ${training.executedSteps} of ${training.plannedSteps}, ${training.redoneSteps} redone, ${training.launches} trainer start(s)`,
        ]),
    ...(chosen === null
      ? []
      : [
          `  epoch: ${chosen.epoch} of ${chosen.epochs}, loss ${loss(chosen.trainLoss)}, held out ${loss(chosen.heldOutLoss)}`,
        ]),
    ...(lora?.outcome === 'published'
      ? [
          `  lora: ${lora.file}${lora.alias === null ? '' : ` and ${lora.alias}`}`,
          ...(lora.aliasRefused === undefined ? [] : [`  no alias: ${lora.aliasRefused}`]),
        ]
      : []),
    ...(proof === null
      ? []
      : [`  proof: the LoRA changes ${(proof.changedShare * 100).toFixed(1)} % of the pixels of ${proof.withLora}`]),
  ];
}
