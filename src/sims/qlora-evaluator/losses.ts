import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { adapterWeightsFile, simulatedMarkFile, trainingResultFile } from '../../qlora/run-files.js';
import { TrainerFault } from '../qlora-trainer/events.js';
import type { Wishes } from './config.js';

const trainingResultSchema = z.object({ samples: z.int().positive() });

/** Loss sum and tokens of one sample; `null`: not a number. */
export type SimulatedLoss = readonly [number | null, number];

/**
 * Losses of one model on `samples` samples. They follow from the dataset and the adapter's bytes alone: a sample is as hard
 * for every model, more training samples make it easier, and a little noise belongs to the adapter.
 */
export function simulatedLosses(
  path: string | null,
  { samples, sha256 }: { readonly samples: number; readonly sha256: string },
  wishes: Wishes,
): SimulatedLoss[] {
  const adapter = path === null ? undefined : readAdapter(path);
  const wished = (parts: readonly string[]) => path !== null && parts.some((part) => path.includes(part));
  if (wished(wishes.notANumber)) return Array.from({ length: samples }, (_, index) => [null, tokensOf(sha256, index)]);
  const wish = (wished(wishes.better) ? 0.9 : 1) * (wished(wishes.worse) ? 1.2 : 1);
  return Array.from({ length: samples }, (_, index) => {
    const tokens = tokensOf(sha256, index);
    const hardness = 1.5 + 1.5 * chance(`${sha256} hard ${index}`);
    const noise = adapter === undefined ? 1 : 1 + 0.001 * (chance(`${adapter.sha256} ${sha256} ${index}`) - 0.5);
    return [tokens * hardness * (adapter === undefined ? 1 : learnt(adapter.samples)) * noise * wish, tokens];
  });
}

/** Share of the loss that is left after training with so many samples; falls for ever, ever more slowly. */
function learnt(samples: number): number {
  return 1 / (1.2 + 0.1 * Math.log2(1 + samples));
}

function tokensOf(sha256: string, index: number): number {
  return 10 + Math.floor(90 * chance(`${sha256} tokens ${index}`));
}

function readAdapter(path: string): { sha256: string; samples: number } {
  if (!existsSync(join(path, simulatedMarkFile))) {
    throw new TrainerFault('bad-config', `${path} was not made by the simulated trainer`);
  }
  const result: unknown = JSON.parse(readFileSync(join(path, trainingResultFile), 'utf8'));
  const weights = readFileSync(join(path, adapterWeightsFile));
  return {
    sha256: createHash('sha256').update(weights).digest('hex'),
    samples: trainingResultSchema.parse(result).samples,
  };
}

/** In [0, 1), from a text. */
function chance(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}
