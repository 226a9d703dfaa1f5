import { describe, expect, it } from 'vitest';

import { contradictions, contradictionsIn, showsFace } from '../../src/character/contradictions.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { attemptSeed, coverageOf, planImages, type CharacterPlan } from '../../src/character/plan.js';
import { axes, negativeTerms, vocabulary, type Attributes, type Axis } from '../../src/character/vocabulary.js';

const largestSeed = 2_147_483_647;

function plan(job: { count?: number; seed?: number; [key: string]: unknown } = {}): CharacterPlan {
  return planImages(parseCharacterJob({ name: 'Elara', description: '1girl, brown hair, warrior', ...job }));
}

/** Every way in which a plan may not be as promised. */
function faultsOf({ images }: CharacterPlan): string[] {
  const faults: string[] = [];
  const shown = new Set(images.map(({ attributes }) => JSON.stringify(axes.map((axis) => attributes[axis]))));
  if (shown.size !== images.length) faults.push('two images show the same');
  if (new Set(images.map(({ seed }) => seed)).size !== images.length) faults.push('two images have the same seed');
  for (const { index, seed, attributes } of images) {
    for (const { because } of contradictionsIn(attributes)) faults.push(`image ${index}: ${because}`);
    if ((attributes.expression === null) === showsFace(attributes)) faults.push(`image ${index}: expression`);
    if (!Number.isInteger(seed) || seed < 1 || seed > largestSeed) faults.push(`image ${index}: seed ${seed}`);
  }
  for (const { axis, values, without } of coverageOf(images)) {
    const counts = values.map(({ count }) => count);
    if (values.length !== vocabulary[axis].length) faults.push(`${axis}: a value outside the vocabulary`);
    if (Math.max(...counts) - Math.min(...counts) > 1) faults.push(`${axis}: uneven`);
    if (axis !== 'expression' && without > 0) faults.push(`${axis}: missing`);
  }
  return faults;
}

describe('W6: a plan covers every value evenly, without repeats, gaps or contradictions', () => {
  it('for every count from 1 to 200, whatever the seed', () => {
    for (let count = 1; count <= 200; count++) {
      expect({ count, faults: faultsOf(plan({ count, seed: count * 7919 })) }).toEqual({ count, faults: [] });
    }
  });

  it.each([1, 2, 3, 17, 40])('for %i images and 100 seeds', (count) => {
    for (let seed = 0; seed < 100; seed++) {
      expect({ seed, faults: faultsOf(plan({ count, seed })) }).toEqual({ seed, faults: [] });
    }
  });

  it.each([999, 4_321, 10_000])('for %i images', (count) => {
    expect(faultsOf(plan({ count }))).toEqual([]);
  });

  it('the default 40 images use every value of every axis', () => {
    const { images } = plan();
    expect(images).toHaveLength(40);
    for (const { values } of coverageOf(images)) for (const { count } of values) expect(count).toBeGreaterThan(0);
  });

  it('from behind, an expression is named only when the character looks back', () => {
    const images = plan({ count: 2_000 }).images.filter(({ attributes }) => attributes.angle === 'back view');
    expect(new Set(images.map(({ attributes }) => attributes.expression === null))).toEqual(new Set([true, false]));
    for (const { attributes, prompt } of images) {
      const named = vocabulary.expression.some((expression) => prompt.includes(expression));
      expect(named).toBe(attributes.pose === 'looking back over shoulder');
    }
  });

  it('every rule names values that exist', () => {
    for (const { values } of contradictions) {
      for (const [axis, excluded] of Object.entries(values)) {
        for (const value of excluded) expect(vocabulary[axis as Axis]).toContain(value);
      }
    }
  });

  it('a rule that is broken is found', () => {
    const sound: Attributes = {
      pose: 'running',
      expression: 'focused gaze',
      angle: 'side view',
      lighting: 'soft lighting',
      background: 'outdoor setting',
    };
    const reasons = (changes: Partial<Attributes>) =>
      contradictionsIn({ ...sound, ...changes }).map(({ because }) => because);
    expect(reasons({})).toEqual([]);
    expect(reasons({ angle: 'close-up portrait' })).toEqual([expect.stringContaining('close-up')]);
    expect(reasons({ angle: 'close-up portrait', lighting: 'studio lighting' })).toHaveLength(2);
  });
});

describe('W6: a plan follows from one seed', () => {
  it('the same job gives the same plan, another seed another', () => {
    expect(plan({ seed: 7 })).toEqual(plan({ seed: 7 }));
    const attributesOf = (seed: number) => plan({ seed }).images.map(({ attributes }) => attributes);
    expect(attributesOf(7)).not.toEqual(attributesOf(8));
  });

  it('further attempts have seeds of their own, the same whenever asked', () => {
    const planned = plan({ count: 3 });
    for (const image of planned.images) {
      const seeds = Array.from({ length: 20 }, (_, attempt) => attemptSeed(planned, image, attempt));
      expect(seeds[0]).toBe(image.seed);
      expect(new Set(seeds).size).toBe(seeds.length);
      expect(Array.from({ length: 20 }, (_, attempt) => attemptSeed(planned, image, attempt))).toEqual(seeds);
      for (const seed of seeds) expect(seed >= 1 && seed <= largestSeed).toBe(true);
    }
  });
});

describe('prompts', () => {
  it('have description, attributes and quality in the order of the original, each tag once', () => {
    const { images, negativePrompt } = plan({ description: '1girl, brown hair, Detailed' });
    for (const { prompt, attributes } of images) {
      const shown = axes.flatMap((axis) => attributes[axis] ?? []);
      expect(prompt.split(', ')).toEqual([
        ...['1girl', 'brown hair', 'Detailed'],
        ...shown,
        ...['high quality', 'masterpiece', 'best quality'],
      ]);
    }
    expect(negativePrompt.split(', ')).toEqual([...negativeTerms]);
    expect(new Set(negativeTerms).size).toBe(26);
  });

  it('leave the description as it was written, brackets and weights and all', () => {
    const description = '(red hair, green eyes:1.2), (red hair, long)';
    for (const { prompt } of plan({ description: `${description}, ` }).images) {
      expect(prompt.startsWith(`${description}, `)).toBe(true);
      expect(prompt).not.toMatch(/, ,|,,/);
    }
  });

  it('W26: the trigger is in prompts only when the job says so', () => {
    expect(plan({ trigger: 'elara_xk' }).images.some(({ prompt }) => prompt.includes('elara_xk'))).toBe(false);
    const { images } = plan({ trigger: 'elara_xk', triggerInPrompts: true });
    expect(images.every(({ prompt }) => prompt.startsWith('elara_xk, 1girl, '))).toBe(true);
  });
});
