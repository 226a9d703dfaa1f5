import { join } from 'node:path';

import { execa } from 'execa';
import { describe, expect, test } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import { qloraExitCodes } from '../../src/qlora/classify-exit.js';
import { qloraHyperparametersSchema } from '../../src/qlora/hyperparameters.js';
import { memoryLadder, overridesOfRung } from '../../src/qlora/memory-ladder.js';

const defaults = qloraHyperparametersSchema.parse({});

/** Python's side of an agreement; these modules need the standard library alone. */
async function python(code: string): Promise<unknown> {
  const { stdout } = await execa('python3', ['-c', code], {
    cwd: join(packageRoot, 'trainers'),
    env: { PYTHONDONTWRITEBYTECODE: '1' },
    input: JSON.stringify(defaults),
  });
  return JSON.parse(stdout);
}

describe('agreement with the trainer in Python', () => {
  test('names and defaults are the same, and what this schema gives is accepted there', async () => {
    const configured = await python(`
import json, sys
from dataclasses import asdict
from pathlib import Path
from qlora.config import parse_config
paths = {"trainDataset": "t", "output": "o"}
given = json.load(sys.stdin)
full = parse_config({**paths, **given}, {}, Path("c"))
minimal = parse_config({**paths, "baseModel": given["baseModel"]}, {}, Path("c"))
print(json.dumps([asdict(full) == asdict(minimal)]))`);
    expect(configured).toEqual([true]);
  });

  test('exit codes are the same', async () => {
    const codes = await python(`
import json
from qlora.faults import EXIT_CODES, EXIT_DONE, EXIT_STOPPED
print(json.dumps({**EXIT_CODES, "done": EXIT_DONE, "stopped": EXIT_STOPPED}))`);
    expect(codes).toEqual(qloraExitCodes);
  });
});

describe('hyperparameters', () => {
  test('refuse unknown names and values out of range, each with its path', () => {
    const result = qloraHyperparametersSchema.safeParse({ epoch: 2, lora: { dropout: 1 }, keepCheckpoints: 1 });
    const issues = result.error?.issues.map(({ path, code }) => `${path.join('.')} ${code}`);
    expect(issues).toEqual(['lora.dropout too_big', 'keepCheckpoints too_small', ' unrecognized_keys']);
  });
});

describe('memory ladder', () => {
  const roomy = qloraHyperparametersSchema.parse({
    gradientCheckpointing: false,
    batchSize: 8,
    gradientAccumulation: 2,
    maxLength: 512,
  });

  test('goes from harmless to costly and keeps the effective batch', () => {
    const ladder = memoryLadder(roomy);
    expect(ladder.map(({ description }) => description)).toEqual([
      'gradient checkpointing',
      'batch 1 with accumulation 16',
      '8-bit optimiser',
      'maxLength 256',
    ]);
    expect(overridesOfRung(ladder, 0)).toEqual({});
    expect(overridesOfRung(ladder, 2)).toEqual({ gradientCheckpointing: true, batchSize: 1, gradientAccumulation: 16 });
    expect(overridesOfRung(ladder, 9)).toEqual(overridesOfRung(ladder, 4));
  });

  test('has no rung that would change nothing', () => {
    expect(memoryLadder(defaults).map(({ description }) => description)).toEqual(['8-bit optimiser', 'maxLength 512']);
  });
});
