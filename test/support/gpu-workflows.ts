import { proxyActivities } from '@temporalio/workflow';

import type { GpuActivities, TrainingOutcome } from '../../src/activities/interfaces.js';

/** Workflows of tests, in the sandbox: GPU work beside the daily cycle. */

export interface RenderActivities {
  /** Renders images one after the other; ends early when more urgent work waits. */
  renderImages(input: RenderInput): Promise<RenderTurn>;
}

export interface RenderInput {
  readonly run: string;
  readonly images: readonly string[];
}

export interface RenderTurn {
  readonly done: readonly string[];
  readonly yielded: { readonly reason: string } | null;
}

interface GpuPlace {
  readonly gpuQueue: string;
  readonly priority: number;
}

/** Sends what is left of the images as a new activity until all are rendered. */
export async function renderAll({ images, ...input }: RenderInput & GpuPlace): Promise<RenderTurn[]> {
  const { renderImages } = proxyActivities<RenderActivities>(policy(input));
  const turns: RenderTurn[] = [];
  for (let left = images; left.length > 0;) {
    const turn = await renderImages({ run: input.run, images: left });
    turns.push(turn);
    left = left.filter((image) => !turn.done.includes(image));
  }
  return turns;
}

/** One training of a run that lies on the host already. */
export async function trainOther({ run, ...place }: GpuPlace & { readonly run: string }): Promise<TrainingOutcome> {
  const { trainAdapter } = proxyActivities<GpuActivities>(policy(place));
  return trainAdapter({ run, generation: 0, gpuIndex: 0 });
}

function policy({ gpuQueue, priority }: GpuPlace) {
  return {
    taskQueue: gpuQueue,
    startToCloseTimeout: '5 minutes',
    heartbeatTimeout: '5 seconds',
    priority: { priorityKey: priority },
  } as const;
}
