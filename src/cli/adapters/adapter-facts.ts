import { TowerError } from '../../errors.js';
import type { ChampionChange } from '../../signz-mind/ledger/champion.js';
import type { DeliveryRecord } from '../../signz-mind/ledger/deliveries.js';
import type { Ledger } from '../../signz-mind/ledger/ledger.js';
import type { RunRecord } from '../../signz-mind/ledger/runs.js';

/** One version with everything the ledger knows of it. */
export interface AdapterFacts extends RunRecord {
  readonly batches: readonly string[];
  readonly delivery: DeliveryRecord | null;
  /** Whether the server has it, or why not, in words. */
  readonly deliveryText: string;
  readonly championChanges: readonly ChampionChange[];
}

/** @throws TowerError `UNKNOWN_VERSION` */
export function adapterFacts(ledger: Ledger, version: string): AdapterFacts {
  const run = ledger.runs.byVersion(version);
  if (run === undefined) {
    throw new TowerError('UNKNOWN_VERSION', `the ledger knows no adapter ${version}`, {
      next: '`tower adapters list` names the versions.',
    });
  }
  const delivery = ledger.deliveries.get(version) ?? null;
  return {
    ...run,
    batches: ledger.runs.batchNames(run.run),
    delivery,
    deliveryText: deliveryText(run, delivery),
    championChanges: ledger.champions.list(1000).filter((change) => change.version === version),
  };
}

export function deliveryText({ state, simulated }: RunRecord, delivery: DeliveryRecord | null): string {
  if (delivery === null) {
    if (state !== 'promoted') return `no: ${state}`;
    return simulated ? 'no: waits (simulated; server.deliverSimulated)' : 'no: waits for its turn';
  }
  switch (delivery.state) {
    case 'uploaded':
    case 'marked':
      return 'yes';
    case 'superseded':
      return `no: ${delivery.reason ?? 'replaced by a newer one'}`;
    case 'packaged':
      return `no: ${delivery.reason ?? 'packaged'} (${delivery.attempts} attempts)`;
  }
}

/** A metric as people read it. */
export function metricText(value: string | number | boolean | null | undefined): string {
  if (value === undefined || value === null) return '-';
  if (typeof value === 'number' && !Number.isInteger(value)) return value.toFixed(4);
  return String(value);
}
