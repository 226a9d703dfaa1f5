import type { Config } from '../config/schema.js';
import type { TrainingSetOptions } from '../signz-mind/training-set/options.js';

/** How the configuration wants samples to be made. */
export function trainingSetOptions({ data }: Config): TrainingSetOptions {
  return {
    format: data.trainingSet,
    heldOutShare: data.heldOutShare,
    snippets: data.snippets,
    snippetQualityLabel: data.snippetQualityLabel,
    feedback: data.feedback,
    positiveFeedbackTypes: data.positiveFeedbackTypes,
  };
}
