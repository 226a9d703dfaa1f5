import { join } from 'node:path';

import { checkLedger } from '../../signz-mind/ledger/check.js';
import { Ledger } from '../../signz-mind/ledger/ledger.js';
import { TowerError } from '../../errors.js';
import type { DemoDay } from './demo-day.js';
import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import { characterFaults, characterLines } from './demo-character.js';
import { promptFaults, promptLines, type DemoPrompts } from './demo-prompts.js';
import type { DemoMachine } from './demo-machine.js';
import { evaluationLines } from '../adapters/evaluation-text.js';

/** All that ran. */
export interface DemoRecord {
  readonly days: readonly DemoDay[];
  readonly character: CharacterLoraResult;
  readonly prompts: DemoPrompts;
}

/**
 * What the demo has shown, after checking it against the ledger and the server's own record.
 *
 * @throws TowerError `DEMO_FAILED` when something that Tower promises was found untrue.
 */
export function demoSummary(
  machine: DemoMachine,
  { days, character, prompts }: DemoRecord,
): { json: unknown; text: string } {
  const { home, paths } = machine.context;
  const promoted = days.flatMap(({ cycle: { training } }) => (training?.promoted ? [training.version] : []));
  check(machine, { days, character, prompts }, promoted);
  const survivor = days.find((day) => day.survivor !== null)?.survivor;
  const json = {
    simulated: days.some(({ cycle }) => cycle.simulated),
    days: days.map(({ cycle, deliveries }) => ({
      ...cycle,
      uploadedBytes: deliveries.reduce((sum, { upload }) => sum + upload.bytes, 0),
      marked: deliveries.reduce((sum, { marked }) => sum + marked.marked, 0),
    })),
    survivor: survivor ?? null,
    character,
    prompts,
    adapters: promoted.map((version) => join(paths.packages, `${version}.zip`)),
    home,
    uiAddress: machine.server.uiAddress,
  };
  const lines = days.flatMap((day, index) => dayLines(day, index + 1));
  const text = [
    '',
    json.simulated
      ? 'Two daily cycles, with the SIMULATED trainer'
      : 'Two daily cycles, with a real 4-bit fine-tune on the CPU',
    ...lines,
    ...characterLines(character),
    ...promptLines(prompts),
    ...(survivor == null
      ? []
      : [`GPU worker killed at step ${survivor.atStep}; trainer ${survivor.pid} went on, no step lost`]),
    `Adapters ${paths.packages}`,
    `State    ${home}`,
    `Web UI   ${machine.server.uiAddress}`,
  ].join('\n');
  return { json, text };
}

function dayLines({ cycle, deliveries }: DemoDay, number: number): string[] {
  const { ingest, training } = cycle;
  const loss = (value: number | null | undefined) => (value == null ? 'not measured' : value.toFixed(3));
  const uploads = deliveries.map(({ upload }) => `${upload.version} (${upload.bytes} bytes)`);
  const uploaded = uploads.length === 0 ? 'nothing: the candidate was rejected' : uploads.join(', ');
  const [losses, decision] =
    training === undefined ? ['not measured', 'nothing was trained'] : evaluationLines(training);
  const marked = deliveries.reduce((sum, delivery) => sum + delivery.marked.marked, cycle.marked);
  const simulated = cycle.simulated ? ' [simulated]' : '';
  return [
    `Day ${number}  batches  ${ingest.imported} imported, ${marked} marked`,
    `       rows     ${ingest.rows.new} new, ${ingest.rows.updated} updated, ${ingest.rows.quarantined} quarantined`,
    `       steps    ${training?.executedSteps} of ${training?.plannedSteps} planned, ${training?.redoneSteps} redone, ${training?.launches} trainer start(s)${simulated}`,
    `       loss     training ${loss(training?.trainLoss)}, held out ${loss(training?.heldOutLoss)}${simulated}`,
    `       compared ${losses}${simulated}`,
    `       decision ${decision}${simulated}`,
    `       uploaded ${uploaded}${simulated}`,
  ];
}

function check(machine: DemoMachine, { days, character, prompts }: DemoRecord, promoted: readonly string[]): void {
  const faults = [...characterFaults(character), ...promptFaults(prompts)];
  const expect = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  for (const { cycle } of days) {
    const { training } = cycle;
    expect(
      training?.executedSteps === training?.plannedSteps,
      `${cycle.logicalTime}: executed steps are not the planned ones`,
    );
    expect(training?.launches === 1, `${cycle.logicalTime}: the trainer was started ${training?.launches ?? 0} times`);
  }
  const uploads = machine.signz.operations().filter(({ route, status }) => route === '/model/upload' && status < 400);
  expect(
    uploads.length === promoted.length,
    `the server has taken ${uploads.length} models instead of ${promoted.length}`,
  );
  const ledger = Ledger.openReadOnly(machine.context.paths.ledger);
  try {
    const unmarked = ledger.batches.list().filter(({ state }) => state !== 'marked');
    expect(unmarked.length === 0, `${unmarked.length} batches are not marked`);
    const unbalanced = checkLedger(ledger).faults;
    expect(unbalanced.length === 0, `the ledger does not add up: ${JSON.stringify(unbalanced[0])}`);
  } finally {
    ledger.close();
  }
  if (faults.length > 0)
    throw new TowerError('DEMO_FAILED', faults.join('; '), { next: 'Look at logs/tower.log in the state directory.' });
}
