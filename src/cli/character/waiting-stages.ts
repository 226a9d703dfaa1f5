/** Runs that wait for a place have this stage. */
export const waitingStage = 'wait for a slot';
/** Runs that wait for a person have this one. */
export const reviewStage = 'review';
