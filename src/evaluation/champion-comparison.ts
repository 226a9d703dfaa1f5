import { join } from 'node:path';

import { z } from 'zod';

import { readJsonIfExists } from '../files/read-json.js';
import { checkAdapter } from '../qlora/adapter-check.js';
import { adapterConfigFile } from '../qlora/run-files.js';
import type { ChampionComparison } from './evaluation-plan.js';

/** A trained adapter, as far as comparing needs to know it. */
export interface TrainedAdapter {
  readonly version: string;
  /** Its run folder; the adapter lies in `output/adapter`, its training set in `dataset`. */
  readonly runDirectory: string;
  readonly simulated: boolean;
}

/** Where a run folder has its adapter. */
export function adapterFolder({ runDirectory }: Pick<TrainedAdapter, 'runDirectory'>): string {
  return join(runDirectory, 'output', 'adapter');
}

/**
 * How a candidate can be compared with the champion. Losses of simulated and real adapters, and losses on two base models
 * (with other tokens), say nothing about each other.
 */
export async function championComparison(
  candidate: TrainedAdapter,
  champion: TrainedAdapter,
): Promise<ChampionComparison> {
  const { version, simulated } = champion;
  if (candidate.simulated && !simulated) {
    return { comparison: 'refused', version, reason: 'a simulated adapter never replaces a trained one' };
  }
  if (simulated && !candidate.simulated) {
    return { comparison: 'base-only', version, reason: 'it was made by the simulated trainer' };
  }
  const adapter = adapterFolder(champion);
  const checked = await checkAdapter(adapter, { simulated });
  if (!checked.valid) return { comparison: 'unavailable', version, reason: checked.reason };
  const [its, own] = await Promise.all([baseModelOf(adapter), baseModelOf(adapterFolder(candidate))]);
  if (its !== own)
    return { comparison: 'base-only', version, reason: `it was trained on ${its ?? 'an unknown model'}` };
  return { comparison: 'losses', version, adapter };
}

const adapterConfigSchema = z.object({ base_model_name_or_path: z.string() });

async function baseModelOf(adapter: string): Promise<string | undefined> {
  return (await readJsonIfExists(join(adapter, adapterConfigFile), adapterConfigSchema))?.base_model_name_or_path;
}
