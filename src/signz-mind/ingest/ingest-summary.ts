/** Counts of one cycle's ingest over all its attempts. `new + updated` rows are stored, `stale` and `duplicate` superseded. */
export interface IngestSummary {
  readonly listed: number;
  readonly imported: number;
  readonly alreadyImported: number;
  /** Batches set aside in this cycle. */
  readonly quarantined: number;
  /** Batches left for the next cycle, with the reason. At most 20 are named. */
  readonly postponed: readonly { readonly name: string; readonly reason: string }[];
  readonly postponedCount: number;
  readonly rows: {
    readonly new: number;
    readonly updated: number;
    readonly stale: number;
    readonly duplicate: number;
    readonly quarantined: number;
  };
}
