import { z } from 'zod';

import { readJsonIfExists } from '../files/read-json.js';
import { readCaptionEvents, type CaptionEvent } from './caption-journal.js';
import type { CharacterRun } from './character-run.js';
import type { JournalState } from './journal.js';

/** `approval.json`: a person has approved the images and captions of a run. */
const approvalSchema = z.object({ approvedAt: z.iso.datetime(), by: z.string().nullable() });

/** What people have decided about a run's contact sheet, in the order in which it happened. Times are ISO 8601 UTC. */
export interface ReviewHistory {
  /** `null`: nobody has approved it. */
  readonly approvedAt: string | null;
  /** Who approved it, where that was said. */
  readonly by: string | null;
  readonly rejected: readonly {
    readonly index: number;
    readonly at: string;
    /** Who rejected it, and why, as far as that was said. */
    readonly reason: string;
    /** Whether it was to be rendered again. */
    readonly again: boolean;
  }[];
  readonly edited: readonly { readonly image: string; readonly at: string; readonly by: string | null }[];
}

/**
 * @returns `undefined` when the job asks for no review, and there was none.
 * @throws TowerError `FILE_INVALID`
 */
export async function readReviewHistory(
  { job, paths, dataset, reservation }: CharacterRun,
  { rejected }: Pick<JournalState, 'rejected'>,
): Promise<ReviewHistory | undefined> {
  const approval = await readJsonIfExists(paths.approval, approvalSchema);
  if (!job.review && approval === undefined) return undefined;
  const events = await readCaptionEvents(dataset.captionJournal);
  // A dataset may have been reviewed for other runs too; of one that the run has made itself, an older Tower did not say it.
  const runOf = ({ run }: CaptionEvent) => run ?? (job.stages.includes('generate') ? reservation.run : undefined);
  const reviewed = events.flatMap((event) =>
    event.event === 'reviewed' && runOf(event) === reservation.run ? [event] : [],
  );
  return {
    approvedAt: approval?.approvedAt ?? null,
    by: approval?.by ?? null,
    rejected: rejected.flatMap(({ code, index, at, reason, again }) =>
      code === 'person' ? [{ index, at, reason, again }] : [],
    ),
    edited: editsIn(reviewed),
  };
}

/** A decision that was carried out twice stands in the journal twice. */
function editsIn(reviewed: readonly Extract<CaptionEvent, { event: 'reviewed' }>[]): ReviewHistory['edited'] {
  const last = new Map<string, string>();
  return reviewed.flatMap(({ image, at, sha256, by = null }) => {
    const isRepeat = last.get(image) === sha256;
    last.set(image, sha256);
    return isRepeat ? [] : [{ image, at, by }];
  });
}
