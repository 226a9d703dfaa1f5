import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';

import { towerSearchAttributes as keys } from '../temporal/search-attributes.js';

/** What the Temporal Web UI shows of a run of the prompt evolution: current details (a markdown table) and search attributes. */
export class PromptDisplay {
  readonly #title: string;
  readonly #rows = new Map<string, string>();

  constructor(title: string, logicalTime: string) {
    this.#title = title;
    this.#rows.set('Time', logicalTime);
    upsertSearchAttributes([{ key: keys.loop, value: 'syntx' }]);
  }

  stage(stage: string): void {
    upsertSearchAttributes([{ key: keys.stage, value: stage }]);
    this.row('Stage', stage);
  }

  /** @param server what the run asks: the `Endpoint` that writes prompts, or the `Wrapper service`. */
  simulated(server: 'Endpoint' | 'Wrapper service', simulated: boolean): void {
    if (simulated) this.row(server, '**simulated**');
    upsertSearchAttributes([{ key: keys.simulated, value: simulated }]);
  }

  row(name: string, value: string): void {
    this.#rows.set(name, value.replaceAll(/[|\r\n]/g, ' '));
    const rows = [...this.#rows].map(([row, text]) => `| ${row} | ${text} |`);
    setCurrentDetails([`| ${this.#title} | |`, '| --- | --- |', ...rows].join('\n'));
  }
}
