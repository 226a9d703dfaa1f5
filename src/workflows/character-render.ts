import { CancellationScope, proxyActivities } from '@temporalio/workflow';

import type {
  CharacterGpuActivities,
  CharacterHostActivities,
  CheckedCharacter,
  ImageCounts,
  RenderTurn,
} from '../activities/character/interfaces.js';
import type { PauseRecord, Placement } from '../activities/interfaces.js';
import type { PauseControl } from './pause-control.js';
import { characterPriority, gpuPolicy, hostWorkPolicy, imagesPlacement } from './policies.js';

export interface RenderOptions {
  readonly run: string;
  readonly checked: CheckedCharacter;
  readonly placement: Placement;
  readonly pause: PauseControl;
  /** Told after every turn. */
  readonly onTurn: (turn: RenderTurn) => void;
  /** Asked between two turns: the history has grown long, go on in a new execution. */
  readonly moveOn: () => Promise<void>;
}

/**
 * Renders what the run still lacks, turn by turn: a turn ends early when more urgent work waits for the GPU, and a pause
 * ends it in the present image, which is rendered again. However a turn ends, the run leaves nothing in ComfyUI's queue.
 */
export async function renderDataset(options: RenderOptions): Promise<RenderTurn> {
  const { run, checked, placement, pause, onTurn, moveOn } = options;
  const images = imagesPlacement(placement, checked);
  const gpu = proxyActivities<CharacterGpuActivities>({
    ...gpuPolicy(images),
    summary: `images of ${run}`,
    priority: characterPriority(checked.priority).images,
  });
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  for (;;) {
    await pause.gate();
    const turn = await untilPaused(
      pause,
      () => cleared(host, run, () => gpu.renderCharacter({ run, gpuIndex: images.gpuIndex })),
      () => host.countImages({ run }),
    );
    if (turn === undefined) continue;
    onTurn(turn);
    if (turn.stopped === null) return turn;
    await moveOn();
  }
}

/** Work with ComfyUI that leaves nothing in its queue: when the GPU worker was dead at the end, its prompts are still there. */
export async function cleared<Result>(
  host: CharacterHostActivities,
  run: string,
  render: () => Promise<Result>,
): Promise<Result> {
  try {
    return await render();
  } catch (error) {
    await CancellationScope.nonCancellable(() => host.clearPrompts({ run }));
    throw error;
  }
}

/** Runs a turn in a scope of its own, which a pause cancels; the pause is over when nothing of the turn is left. */
async function untilPaused(
  pause: PauseControl,
  render: () => Promise<RenderTurn>,
  count: () => Promise<ImageCounts>,
): Promise<RenderTurn | undefined> {
  const scope = new CancellationScope();
  const turn = scope.run(render);
  const stop = async (): Promise<PauseRecord> => {
    scope.cancel();
    await turn.catch(() => undefined);
    const { accepted } = await CancellationScope.nonCancellable(count);
    return { state: 'saved', step: accepted, unit: 'images' };
  };
  try {
    return await pause.during(stop, () => turn);
  } catch (error) {
    // Whatever the interrupted turn ended with: every accepted image is in the journal.
    if (scope.consideredCancelled && !CancellationScope.current().consideredCancelled) return undefined;
    throw error;
  }
}
