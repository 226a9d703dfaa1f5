import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';

import type {
  Estimate,
  IngestSummary,
  Placement,
  PlannedTraining,
  PromotionRecord,
  TrainedOutcome,
} from '../activities/interfaces.js';
import { towerSearchAttributes as keys } from '../temporal/search-attributes.js';

/** What the Temporal Web UI shows of a daily cycle: current details (a markdown table) and search attributes. */
export class CycleDisplay {
  readonly #rows = new Map<string, string>();
  #stage = 'starting';
  #paused = false;

  start(logicalTime: string): void {
    this.#rows.set('Cycle of', logicalTime);
    upsertSearchAttributes([{ key: keys.loop, value: 'daily' }]);
    this.stage('place');
  }

  stage(stage: string): void {
    this.#stage = stage;
    upsertSearchAttributes([{ key: keys.stage, value: stage }]);
    this.#show();
  }

  setPaused(paused: boolean): void {
    this.#paused = paused;
    upsertSearchAttributes([{ key: keys.stage, value: paused ? `${this.#stage} (paused)` : this.#stage }]);
    this.#show();
  }

  place(placement: Placement): void {
    this.#rows.set('Host', `${placement.host}, GPU ${placement.gpuIndex}`);
    if (placement.simulated) this.#rows.set('Trainer', '**simulated**');
    upsertSearchAttributes([
      { key: keys.host, value: placement.host },
      { key: keys.simulated, value: placement.simulated },
    ]);
  }

  ingested(ingest: IngestSummary): void {
    const { rows } = ingest;
    this.#rows.set(
      'Batches',
      `${ingest.listed} listed, ${ingest.imported} imported, ${ingest.quarantined} quarantined, ${ingest.postponedCount} postponed`,
    );
    this.#rows.set(
      'Rows',
      `${rows.new} new, ${rows.updated} updated, ${rows.stale + rows.duplicate} superseded, ${rows.quarantined} quarantined`,
    );
  }

  train(plan: PlannedTraining): void {
    this.#rows.set('Version', plan.version);
    this.#rows.set('Training set', `${plan.samples} samples, ${plan.heldOutSamples} held out; ${plan.reason}`);
    upsertSearchAttributes([{ key: keys.version, value: plan.version }]);
    this.stage('train');
  }

  trained(outcome: TrainedOutcome): void {
    this.#rows.set(
      'Steps',
      `${outcome.executedSteps} of ${outcome.plannedSteps}, ${outcome.redoneSteps} redone, ${outcome.launches} trainer start(s)`,
    );
    this.#rows.set(
      'Loss',
      `training ${outcome.trainLoss ?? 'unknown'}, held out ${outcome.heldOutLoss ?? 'not measured'}`,
    );
    const loss = outcome.heldOutLoss ?? outcome.trainLoss;
    if (loss !== null) upsertSearchAttributes([{ key: keys.loss, value: loss }]);
  }

  decided({ promoted, reason, losses }: PromotionRecord): void {
    if (losses !== null) {
      const { candidate, champion, base, samples } = losses;
      const models = [
        `candidate ${interval(candidate)}`,
        ...(champion === null ? [] : [`champion ${interval(champion)}`]),
        `base model ${interval(base)}`,
      ];
      this.#rows.set('Held-out loss', `${models.join(', ')}; ${samples} samples`);
    }
    this.#rows.set('Decision', `**${promoted ? 'promoted' : 'rejected'}**: ${reason}`);
    this.#show();
  }

  finish(outcome: string, reason: string): void {
    this.#rows.set('Outcome', `${outcome}: ${reason}`);
    this.stage('done');
  }

  #show(): void {
    const stage = this.#paused ? `${this.#stage}, **paused**` : this.#stage;
    const rows = [['Stage', stage] as const, ...this.#rows];
    setCurrentDetails(
      ['| Daily cycle | |', '| --- | --- |', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join('\n'),
    );
  }
}

function interval({ value, low, high }: Estimate): string {
  return `${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)})`;
}
