/** An open workflow, as far as its waiting is concerned. */
export interface WaitingWorkflow {
  readonly workflowId: string;
  readonly runId: string;
  readonly stage: string | null;
  /** Why it does not go on, where that is not in its stage. */
  readonly waitsFor: string | null;
}

/** A workflow at work, as `tower status` shows it. */
export interface RunningWorkflow extends WaitingWorkflow {
  readonly type: string;
  readonly paused: boolean;
  readonly simulated: boolean;
  readonly startedAt: string;
}
