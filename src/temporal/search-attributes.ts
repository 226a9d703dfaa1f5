import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/**
 * What Tower's workflows can be filtered and sorted by. Pure, so that workflow code may import it.
 *
 * A namespace on SQL visibility has room for 10 keywords and 3 of every other type; Tower leaves most of it to others.
 */
export const towerSearchAttributes = {
  /** Where a run stands: `train`, `evaluate`, `deliver` and so on. */
  stage: defineSearchAttributeKey('TowerStage', SearchAttributeType.KEYWORD),
  /** Which loop it belongs to: `daily`, `deliver`, `housekeeping`. */
  loop: defineSearchAttributeKey('TowerLoop', SearchAttributeType.KEYWORD),
  /** Version of the adapter, for example `adapter_ft_20260131_130000`. */
  version: defineSearchAttributeKey('TowerVersion', SearchAttributeType.KEYWORD),
  /** GPU host the run stays on. */
  host: defineSearchAttributeKey('TowerHost', SearchAttributeType.KEYWORD),
  /** True when a stage was simulated. */
  simulated: defineSearchAttributeKey('TowerSimulated', SearchAttributeType.BOOL),
  /** Evaluation loss of the candidate, nats per token. */
  loss: defineSearchAttributeKey('TowerLoss', SearchAttributeType.DOUBLE),
} as const;
