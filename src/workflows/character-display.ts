import { setCurrentDetails, upsertMemo, upsertSearchAttributes } from '@temporalio/workflow';

import type {
  CaptionRecord,
  CheckedCharacter,
  ChosenEpoch,
  ImageCounts,
  PreparedCharacter,
  ProofRecord,
  PublishedLora,
  PublishRecord,
} from '../activities/character/interfaces.js';
import type { Placement, TrainedOutcome } from '../activities/interfaces.js';
import { towerSearchAttributes as keys } from '../temporal/search-attributes.js';

/** What the Temporal Web UI shows of a character run: current details (a markdown table) and search attributes. */
export class CharacterDisplay {
  readonly #rows = new Map<string, string>();
  #stage = 'check';
  #paused = false;

  start(placement: Placement): void {
    this.#rows.set('Host', `${placement.host}, GPU ${placement.gpuIndex}`);
    upsertSearchAttributes([
      { key: keys.loop, value: 'character' },
      { key: keys.host, value: placement.host },
      { key: keys.simulated, value: false },
    ]);
    this.stage('check');
  }

  get currentStage(): string {
    return this.#stage;
  }

  stage(stage: string): void {
    this.#stage = stage;
    this.#showStage();
  }

  setPaused(paused: boolean): void {
    this.#paused = paused;
    this.#showStage();
  }

  checked({ name, stages, priority, review }: CheckedCharacter): void {
    upsertMemo({ name, priority });
    // A name is a user's text; in a table it must not end a cell.
    this.#rows.set('Character', name.replaceAll(/[|\r\n`<>]/g, ' ').slice(0, 100));
    this.#rows.set('Stages', `${stages.join(', ')}${review ? ', with a review' : ''}; ${priority}`);
    this.#show();
  }

  prepared({ run, dataset, planned, simulated }: PreparedCharacter): void {
    this.#rows.set('Run', run);
    this.#rows.set('Dataset', `${dataset}, ${planned} images planned`);
    upsertSearchAttributes([{ key: keys.version, value: run }]);
    if (simulated) this.simulated();
    this.#show();
  }

  images({ planned, accepted, rejected }: ImageCounts, stopped: string | null): void {
    const waits = stopped === null ? '' : `; made way: ${stopped}`;
    this.#rows.set('Images', `${accepted} of ${planned} accepted, ${rejected} rejected${waits}`);
    this.#show();
  }

  captioned({ images, kept, contactSheet }: CaptionRecord): void {
    this.#rows.set('Captions', `${images}, ${kept} of them edited by hand`);
    this.#rows.set('Contact sheet', contactSheet);
    this.#show();
  }

  trained(outcome: TrainedOutcome): void {
    this.#rows.set(
      'Steps',
      `${outcome.executedSteps} of ${outcome.plannedSteps}, ${outcome.redoneSteps} redone, ${outcome.launches} trainer start(s)`,
    );
    if (outcome.trainLoss !== null) upsertSearchAttributes([{ key: keys.loss, value: outcome.trainLoss }]);
    this.#show();
  }

  chose({ epoch, epochs, reason, heldOutLoss }: ChosenEpoch): void {
    this.#rows.set('Epoch', `${epoch} of ${epochs}: ${reason}`);
    if (heldOutLoss !== null) upsertSearchAttributes([{ key: keys.loss, value: heldOutLoss }]);
    this.#show();
  }

  published(record: PublishRecord): void {
    this.#rows.set('LoRA', record.outcome === 'published' ? publishedText(record) : `not delivered: ${record.reason}`);
    this.#show();
  }

  proven({ changedShare }: ProofRecord): void {
    this.#rows.set('Proof', `the LoRA changes ${(changedShare * 100).toFixed(1)} % of the pixels`);
    this.#show();
  }

  simulated(): void {
    this.#rows.set('Simulated', '**yes**');
    upsertSearchAttributes([{ key: keys.simulated, value: true }]);
    this.#show();
  }

  finish(outcome: string, reason: string): void {
    this.#rows.set('Outcome', `${outcome}: ${reason}`);
    this.stage('done');
  }

  #showStage(): void {
    upsertSearchAttributes([{ key: keys.stage, value: this.#paused ? `${this.#stage} (paused)` : this.#stage }]);
    this.#show();
  }

  #show(): void {
    const stage = this.#paused ? `${this.#stage}, **paused**` : this.#stage;
    const rows = [['Stage', stage] as const, ...this.#rows];
    setCurrentDetails(
      ['| Character LoRA | |', '| --- | --- |', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join('\n'),
    );
  }
}

function publishedText({ name, alias, aliasRefused }: PublishedLora): string {
  const refused = aliasRefused === undefined ? '' : `; no alias: ${aliasRefused}`;
  return `${name}${alias === null ? '' : ` and ${alias}`}${refused}`;
}
