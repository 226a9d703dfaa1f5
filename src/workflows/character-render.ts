import { CancellationScope, proxyActivities } from '@temporalio/workflow';

import type {
  CharacterGpuActivities,
  CharacterHostActivities,
  CheckedCharacter,
  RenderTurn,
} from '../activities/character/interfaces.js';
import type { PauseRecord, Placement } from '../activities/interfaces.js';
import { nothingSaved, type PauseControl } from './pause-control.js';
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
      {
        saved: async () => {
          const { accepted } = await host.countImages({ run });
          return { state: 'saved', step: accepted, unit: 'images' };
        },
      },
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

interface Interruption {
  /** Tells what there is after an interrupted turn. */
  readonly saved: () => Promise<PauseRecord>;
  /** Asked when a person pauses; an older Tower left some turns alone. */
  readonly mayInterrupt?: () => boolean;
}

/**
 * Runs a turn in a scope of its own, which a pause cancels; the pause has succeeded when nothing of the turn is left.
 *
 * @returns `undefined` for a turn that was interrupted.
 */
export async function untilPaused<Turn>(
  pause: PauseControl,
  render: () => Promise<Turn>,
  { saved, mayInterrupt = () => true }: Interruption,
): Promise<Turn | undefined> {
  const scope = new CancellationScope();
  const turn = scope.run(render);
  const stop = async (): Promise<PauseRecord> => {
    if (!mayInterrupt()) return nothingSaved;
    scope.cancel();
    await turn.catch(() => undefined);
    return CancellationScope.nonCancellable(saved);
  };
  try {
    return await pause.during(stop, () => turn);
  } catch (error) {
    // Whatever the interrupted turn ended with: every accepted image is in the journal.
    if (scope.consideredCancelled && !CancellationScope.current().consideredCancelled) return undefined;
    throw error;
  }
}
