import { expect, test } from 'vitest';

import { assertComplete, buildStepLedger, type LaunchSteps } from '../../src/training/step-ledger.js';

/** `[toldToResumeFrom, reached, resumedFrom?]` per launch, of 30 planned steps. */
function launches(...rows: [number, number, number?][]): LaunchSteps[] {
  return rows.map(([toldToResumeFrom, reached, resumedFrom], index) => ({
    launch: index + 1,
    toldToResumeFrom,
    resumedFrom: resumedFrom ?? toldToResumeFrom,
    planned: 30,
    reached,
  }));
}

test('an undisturbed run', () => {
  const ledger = buildStepLedger(launches([0, 30]));
  expect(ledger).toEqual({ planned: 30, executed: 30, redone: 0, segments: [{ launch: 1, from: 1, to: 30 }] });
  assertComplete(ledger);
});

test('steps after the last state are cut and counted as redone', () => {
  const ledger = buildStepLedger(launches([0, 14], [10, 27], [20, 30]));
  expect(ledger).toEqual({
    planned: 30,
    executed: 30,
    redone: 4 + 7,
    segments: [
      { launch: 1, from: 1, to: 10 },
      { launch: 2, from: 11, to: 20 },
      { launch: 3, from: 21, to: 30 },
    ],
  });
  assertComplete(ledger);
});

test('a later launch may go back behind an earlier one, also to the start', () => {
  const ledger = buildStepLedger(launches([0, 22], [20, 25], [10, 12], [0, 30]));
  expect(ledger).toMatchObject({
    executed: 30,
    redone: 2 + 5 + 10 + 2 + 10,
    segments: [{ launch: 4, from: 1, to: 30 }],
  });
  assertComplete(ledger);
});

test('a complete state proves steps whose log lines were lost or not due yet', () => {
  const ledger = buildStepLedger(launches([0, 20], [25, 30]));
  expect(ledger.segments[0]).toEqual({ launch: 1, from: 1, to: 25 });
  assertComplete(ledger);
});

test('a launch that died before it began, and one that had only the artefact left to write, change nothing', () => {
  const dead: LaunchSteps = { launch: 2, toldToResumeFrom: 10, resumedFrom: undefined, planned: undefined, reached: 0 };
  const [first, last, empty] = launches([0, 10], [10, 30], [30, 30]);
  const ledger = buildStepLedger([first, dead, last, empty].filter((entry) => entry !== undefined));
  expect(ledger).toMatchObject({ executed: 30, redone: 0 });
  expect(ledger.segments).toHaveLength(2);
  assertComplete(ledger);
});

test('a trainer that went on from another step than told is found out', () => {
  expect(() => buildStepLedger(launches([0, 12], [10, 30, 0]))).toThrow(
    /told to go on from step 10, but went on from 0/,
  );
});

test('a changed plan is found out', () => {
  const [first, second] = launches([0, 10], [10, 30]);
  expect(() => buildStepLedger([{ ...first!, planned: 40 }, second!])).toThrow(/plans 30 steps/);
});

test.each([
  ['too few', [{ launch: 1, from: 1, to: 29 }], /steps 30 to 30 are missing/],
  ['too many', [{ launch: 1, from: 1, to: 31 }], /31 steps were executed, 30 planned/],
  [
    'a gap',
    [
      { launch: 1, from: 1, to: 9 },
      { launch: 2, from: 11, to: 30 },
    ],
    /steps 10 to 10 of 30 are missing/,
  ],
  [
    'twice',
    [
      { launch: 1, from: 1, to: 10 },
      { launch: 2, from: 10, to: 30 },
    ],
    /launch 2 executed steps 10 to 10 again/,
  ],
  ['none', [], /steps 1 to 30 are missing/],
])('assertComplete refuses %s', (_name, segments, message) => {
  expect(() => {
    assertComplete({ planned: 30, executed: 0, redone: 0, segments });
  }).toThrow(message);
});
