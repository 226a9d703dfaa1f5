import type { CharacterRun } from '../../character/character-run.js';
import { readJournal } from '../../character/journal.js';
import type { ImageCounts, RenderTurn } from './interfaces.js';
import { readComfyuiRecord } from '../../character/comfyui-record.js';

/** The images of a run, as its journal has them. */
export async function countedImages({ job, paths }: CharacterRun): Promise<ImageCounts> {
  const { accepted, rejected } = await readJournal(paths.journal);
  return { planned: job.count, accepted: accepted.size, rejected: rejected.length };
}

/** A turn that has ended. @param stopped - Why it ended early; `null` when no image is left. */
export async function endedTurn(run: CharacterRun, stopped: string | null): Promise<RenderTurn> {
  // Whoever was stopped before ComfyUI had answered has no image of it.
  const { simulated } = (await readComfyuiRecord(run.paths.directory)) ?? { simulated: false };
  return { ...(await countedImages(run)), stopped, simulated };
}
