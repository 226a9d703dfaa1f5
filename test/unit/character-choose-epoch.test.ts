import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  chooseEpoch,
  type EpochCandidate,
  type EpochChoice,
  type EpochScores,
} from '../../src/character/choose-epoch.js';
import { lossNoise } from '../../src/character/loss-noise.js';
import { scoreEpochs } from '../../src/character/scorer.js';
import { SeededRandom } from '../../src/seeded-random.js';

function epochs(losses: readonly (number | null)[]): EpochCandidate[] {
  return losses.map((heldOutLoss, index) => ({
    epoch: index + 1,
    path: `/run/output/x-${index + 1}.safetensors`,
    sha256: String(index).repeat(64).slice(0, 64),
    trainLoss: 0.1 - index / 1000,
    heldOutLoss,
    samples: [],
  }));
}

const choose = (losses: readonly (number | null)[], scores?: readonly EpochScores[]): EpochChoice =>
  chooseEpoch(epochs(losses), scores);

/** Falls, then rises, as of a training that begins to learn by heart. */
const valley = (noise: number, seed = 1) => {
  const random = new SeededRandom(`valley ${seed}`);
  return Array.from({ length: 15 }, (_, index) => 0.1 + 0.0008 * (index - 7) ** 2 + noise * (random.next() - 0.5));
};

describe('the epoch is chosen on evidence', () => {
  it('the lowest held-out loss, not the last epoch', () => {
    expect(choose(valley(0))).toMatchObject({ epoch: 8, method: 'held-out-loss' });
    expect(choose([0.3, 0.2, 0.25])).toMatchObject({
      epoch: 2,
      noise: null,
      reason: expect.stringContaining('too few') as string,
    });
  });

  it('losses that were measured otherwise are not compared', () => {
    // Out of memory in the third epoch: at a smaller resolution the same LoRA has another loss.
    const mixed = epochs([0.1, 0.09, 0.3, 0.2, 0.25]).map((candidate) => ({
      ...candidate,
      conditions: candidate.epoch < 3 ? 'resolution 768' : 'resolution 576',
    }));
    const choice = chooseEpoch(mixed);
    expect(choice).toMatchObject({ epoch: 4, method: 'held-out-loss' });
    expect(choice.reason).toMatch(/not compared: epochs 1, 2$/);
    expect(choice.epochs.filter(({ eligible }) => eligible).map(({ epoch }) => epoch)).toEqual([4]);
  });

  it('losses at other noise in each epoch are not called anything else', () => {
    const loadedBy = (loadingProcesses: number, losses: readonly (number | null)[]) =>
      chooseEpoch(epochs(losses).map((candidate) => ({ ...candidate, loadingProcesses }))).reason;
    expect(loadedBy(8, [0.3, 0.2, 0.25])).toMatch(/other noise in each epoch \(max_data_loader_n_workers 8\)$/);
    expect(loadedBy(8, [null, null])).not.toContain('other noise');
    expect(loadedBy(0, [0.3, 0.2, 0.25])).not.toContain('other noise');
  });

  it('the earliest that is not worse beyond noise', () => {
    const losses = [0.2, 0.16, 0.13, 0.112, 0.1031, 0.1012, 0.1024, 0.1008, 0.1021, 0.1009, 0.104, 0.11];
    const choice = choose(losses);
    expect(choice.noise).toBeGreaterThan(0.001);
    expect(choice.epoch).toBeLessThan(8);
    expect(choice.epoch).toBeGreaterThan(4);
    expect(choice.reason).toMatch(/within noise .* of the lowest, 0\.1008 of epoch 8/);
    expect(choice.epochs.find(({ epoch }) => epoch === 8)?.eligible).toBe(true);
    expect(choice.epochs.find(({ epoch }) => epoch === 1)?.eligible).toBe(false);
  });

  it('stays near the bottom of a noisy valley', () => {
    for (let seed = 0; seed < 200; seed++) {
      const { epoch } = choose(valley(0.004, seed));
      expect(epoch, `seed ${seed}`).toBeGreaterThanOrEqual(4);
      expect(epoch, `seed ${seed}`).toBeLessThanOrEqual(11);
    }
  });

  it('an early dip beyond a worse epoch is no reason to go back there', () => {
    const { epoch } = choose([
      ...[0.2, 0.1005, 0.18, 0.165, 0.15, 0.137, 0.125, 0.115, 0.107, 0.102, 0.1, 0.103, 0.11],
    ]);
    expect(epoch).toBe(11);
  });

  it('where the loss says nothing, the last epoch stays, and the reason says so', () => {
    const flat = [0.1003, 0.0998, 0.1001, 0.0999, 0.1002, 0.0997, 0.1];
    expect(choose(flat)).toMatchObject({
      epoch: 7,
      method: 'last-epoch',
      reason: expect.stringContaining('within noise') as string,
    });
    expect(choose([null, null, null])).toMatchObject({
      epoch: 3,
      method: 'last-epoch',
      reason: expect.stringContaining('no held-out loss was measured') as string,
    });
    expect(choose([null, 0.1, null])).toMatchObject({ epoch: 3, method: 'last-epoch' });
    expect(choose([0.1])).toMatchObject({ epoch: 1 });
  });

  it('a loss that is no number is no evidence, and no candidate', () => {
    expect(choose([0.3, 0.2, Number.NaN, Number.NaN])).toMatchObject({ epoch: 2 });
    expect(choose([Number.NaN, Number.POSITIVE_INFINITY])).toMatchObject({ method: 'last-epoch' });
  });

  it('the order of the epochs does not matter; none at all is an error', () => {
    const all = epochs(valley(0));
    expect(chooseEpoch([...all].reverse())).toEqual(chooseEpoch(all));
    expect(() => chooseEpoch([])).toThrow(expect.objectContaining({ code: 'NO_EPOCHS' }) as Error);
  });
});

describe('the noise of a loss', () => {
  it('is that of independent values, whatever their trend', () => {
    const estimates = Array.from({ length: 300 }, (_, seed) => {
      const random = new SeededRandom(`noise ${seed}`);
      // Sum of twelve uniform numbers: standard deviation 1.
      const normal = () => Array.from({ length: 12 }, () => random.next()).reduce((sum, value) => sum + value, -6);
      return lossNoise(Array.from({ length: 15 }, (_, index) => 5 - 0.3 * index + 0.01 * normal())) ?? 0;
    });
    const mean = estimates.reduce((sum, value) => sum + value, 0) / estimates.length;
    // Twice the standard deviation of a difference of two values with 0.01 each.
    expect(mean).toBeGreaterThan(0.028 * 0.75);
    expect(mean).toBeLessThan(0.028 * 1.25);
    expect(lossNoise([32, 18, 8, 2, 0, 2, 8])).toBe(0);
    expect(lossNoise([5, 4, 3, 2, 1])).toBeNull();
  });
});

describe('with scores of the samples', () => {
  const scores = (of: (epoch: number, sample: number) => number, samples = 6): EpochScores[] =>
    Array.from({ length: 15 }, (_, index) => ({
      epoch: index + 1,
      scores: Array.from({ length: samples }, (_, sample) => of(index + 1, sample)),
    }));

  it('they decide among the epochs that the loss leaves', () => {
    const losses = [
      0.2, 0.16, 0.13, 0.112, 0.1031, 0.1012, 0.1024, 0.1008, 0.1021, 0.1009, 0.104, 0.11, 0.12, 0.13, 0.14,
    ];
    const choice = choose(
      losses,
      scores((epoch, sample) => (epoch === 15 ? 99 : epoch === 7 ? 9 : 1) + sample),
    );
    expect(choice).toMatchObject({ epoch: 7, method: 'held-out-loss-and-scorer' });
    expect(choice.epochs.find(({ epoch }) => epoch === 15)).toMatchObject({ score: 101.5, eligible: false });
  });

  it('alone, the earliest that is not worse beyond noise', () => {
    const none = Array.from({ length: 15 }, () => null);
    expect(
      choose(
        none,
        scores((epoch, sample) => -((epoch - 9) ** 2) + sample),
      ),
    ).toMatchObject({ epoch: 9, method: 'scorer' });
    const uncertain = choose(
      none,
      scores((epoch, sample) => (epoch < 4 ? 0 : 10) + ((epoch * 7 + sample * 5) % 11)),
    );
    expect(uncertain.epoch).toBe(4);
    expect(uncertain.reason).toContain('within noise of the best');
  });

  it('one sample an epoch has no noise: the best counts', () => {
    const none = Array.from({ length: 15 }, () => null);
    expect(
      choose(
        none,
        scores((epoch) => (epoch === 12 ? 2 : 1), 1),
      ),
    ).toMatchObject({ epoch: 12 });
  });
});

describe('the scorer', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tower-scorer-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const run = (program: string, samples: readonly string[][], timeoutMinutes = 1) =>
    scoreEpochs(
      samples.map((paths, index) => ({ epoch: index + 1, samples: paths })),
      { command: [process.execPath, '-e', program, '--', 'first'], timeoutMinutes },
      { signal: new AbortController().signal, log: pino({ level: 'silent' }) },
    );

  it('gets its arguments and the samples, and answers with one number for each', async () => {
    const program = 'for (const path of process.argv.slice(2)) console.log(path.length / 2)';
    expect(await run(program, [['ab', 'a b c d'], [], ['$(touch x)']])).toEqual([
      { epoch: 1, scores: [1, 3.5] },
      { epoch: 3, scores: [5] },
    ]);
  });

  it.each([
    ['an exit code', 'console.error("no model"); process.exit(3)', /exit code 3: no model/],
    ['too few numbers', 'console.log(1)', /expected 2 numbers/],
    ['words', 'console.log("good bad")', /expected 2 numbers/],
    ['not-a-number', 'console.log("nan 1")', /expected 2 numbers/],
  ])('%s is its failure, not a score', async (_, program, message) => {
    await expect(run(program, [['a', 'b']])).rejects.toMatchObject({ code: 'SCORER_FAILED', retryable: false });
    await expect(run(program, [['a', 'b']])).rejects.toThrow(message);
  });

  it('one that somebody kills is asked again', async () => {
    const killed = run('process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000)', [['a']]);
    await expect(killed).rejects.toMatchObject({ code: 'SCORER_FAILED', retryable: true });
    await expect(killed).rejects.toThrow(/ended by SIGKILL/);
  });

  it('one that never ends is ended; one that is not there is named', async () => {
    const endless = run('setInterval(() => {}, 1000)', [['a']], 0.02);
    await expect(endless).rejects.toThrow(/no answer within 0\.02 minutes/);
    await expect(endless).rejects.toMatchObject({ retryable: false });
    await writeFile(join(folder, 'x'), '');
    const missing = scoreEpochs(
      [{ epoch: 1, samples: ['a'] }],
      { command: [join(folder, 'missing')], timeoutMinutes: 1 },
      { signal: new AbortController().signal, log: pino({ level: 'silent' }) },
    );
    await expect(missing).rejects.toMatchObject({
      code: 'SCORER_FAILED',
      message: expect.stringContaining('ENOENT') as string,
    });
  });
});
