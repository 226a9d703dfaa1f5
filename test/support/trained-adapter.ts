import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';

import type { TrainedAdapter } from '../../src/evaluation/champion-comparison.js';
import { createSimulatedQloraDriver } from '../../src/qlora/driver.js';
import { qloraHyperparametersSchema } from '../../src/qlora/hyperparameters.js';
import { saveAdapter } from '../../src/sims/qlora-trainer/adapter.js';
import type { SimulatedConfig } from '../../src/sims/qlora-trainer/config.js';

export interface Trained {
  readonly train: readonly string[];
  readonly heldOut: readonly string[];
  readonly baseModel?: string;
  readonly simulated?: boolean;
}

/** A run folder in `runs` as a training leaves it. */
export async function trainedAdapter(
  { runs, version }: { readonly runs: string; readonly version: string },
  { train, heldOut, baseModel = 'org/model', simulated = true }: Trained,
): Promise<TrainedAdapter> {
  const runDirectory = join(runs, version);
  const lines = (samples: readonly string[]) => samples.map((text) => `${JSON.stringify({ completion: text })}\n`);
  await mkdir(join(runDirectory, 'dataset'), { recursive: true });
  await writeFile(join(runDirectory, 'dataset', 'train.jsonl'), lines(train).join(''));
  await writeFile(join(runDirectory, 'dataset', 'heldout.jsonl'), lines(heldOut).join(''));
  const config = qloraHyperparametersSchema.parse({ baseModel, maxLength: 64 });
  await createSimulatedQloraDriver({ runDirectory, config, log: pino({ level: 'silent' }) }).prepare();
  const written = JSON.parse(await readFile(join(runDirectory, 'config.json'), 'utf8')) as SimulatedConfig;
  await saveAdapter(written, version, { fingerprint: version, step: 1, samples: train.length, trainLoss: 1 });
  if (!simulated) await rm(join(runDirectory, 'output', 'adapter', 'simulated.json'));
  return { version, runDirectory, simulated };
}
