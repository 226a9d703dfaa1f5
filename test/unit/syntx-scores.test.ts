import { describe, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import { formatRules } from '../../src/syntx/scores/answer-formats.js';
import { scoreAnswer } from '../../src/syntx/scores/quality-score.js';

const sigmaTokens = ['DRIFTGRADIENT', 'MECHANISMUSKNOTEN', 'FREQUENZFELD', 'DICHTELEVEL', 'ZWEISTRÖME', 'KERNEXTRAKT'];
const humanTokens = ['DRIFT', 'HINTERGRUND-MUSTER', 'DRUCKFAKTOREN', 'TIEFE', 'WIRKUNG', 'KLARTEXT'];
const system = '### Driftkörperanalyse:\nA\n### Kalibrierung:\nB\n### Strömungsverhältnisse:\nC';

function lines(tokens: readonly string[], change: Readonly<Record<number, string | null>> = {}): string {
  return tokens
    .map((token, index) => (change[index + 1] === undefined ? `${index + 1}. ${token}` : change[index + 1]))
    .filter((line) => line !== null)
    .join('\n');
}
const sigma = (change?: Readonly<Record<number, string | null>>) =>
  lines(
    sigmaTokens.map((token) => `Σ-${token}: wert`),
    change,
  );
const human = (change?: Readonly<Record<number, string | null>>) =>
  lines(
    humanTokens.map((token) => `${token}: wert.`),
    change,
  );

describe('the worked examples of the contract', () => {
  it.each([
    [1, system, 'SYNTEX_SYSTEM', 100, 100, 100],
    [2, system.slice(0, system.indexOf('### Strömung')), 'SYNTEX_SYSTEM', 67, 100, 76],
    [3, '### Kalibrierung:\nB', 'SYNTEX_SYSTEM', 34, 100, 53],
    [4, system.replaceAll('###', '####'), 'SYNTEX_SYSTEM', 100, 100, 100],
    [5, system.replaceAll('###', '##'), 'HUMAN', 0, 0, 0],
    [6, system.replaceAll(/### (.*)/g, '**$1**'), 'HUMAN', 0, 0, 0],
    [7, '1. Driftkörperanalyse: A\n2. Kalibrierung: B\n3. Strömungsverhältnisse: C', 'HUMAN', 0, 48, 14],
    [8, sigma(), 'SIGMA', 100, 96, 98],
    [9, sigma({ 6: null }), 'SIGMA', 90, 80, 87],
    [10, sigma({ 5: '5. Σ-ZWEISTRÖME:' }), 'SIGMA', 100, 96, 98],
    [11, sigma({ 1: '1. Σ-DRIFTGRADIENT: Wert 12.5', 3: '3. Σ-FREQUENZFELD: 4.2 Hz' }), 'SIGMA', 85, 96, 88],
    [12, human(), 'HUMAN', 100, 96, 98],
    [13, human({ 5: '5. WIRKUNG AUF BEIDE SEITEN\nSender bleibt' }), 'HUMAN', 80, 96, 84],
    [14, human({ 2: '2. HINTERGRUND-MUSTER: die Kalibrierung.' }), 'HUMAN', 0, 96, 28],
    [15, human({ 4: null, 5: null, 6: null }), 'HUMAN', 50, 48, 49],
    [16, human({ 3: null, 4: null, 5: null }), 'HUMAN', 45, 48, 45],
    [17, 'Ein Text ohne jede Zahl, der nichts von einem Format weiß.', 'HUMAN', 0, 0, 0],
    [18, '1. eins\n2. zwei\n3. drei', 'HUMAN', 0, 48, 14],
  ] as const)('%i', (...[, answer, format, completeness, structure, total]) => {
    expect(scoreAnswer(answer)).toMatchObject({
      format,
      score: { total_score: total, field_completeness: completeness, structure_adherence: structure },
    });
  });

  it('19: an answer without text has no score', () => {
    expect(scoreAnswer('')).toBeNull();
    expect(scoreAnswer(' \n\u2003\u001c\u0085')).toBeNull();
  });

  it('11: a decimal cuts the field before it and empties its own', () => {
    const answer = sigma({ 1: '1. Σ-DRIFTGRADIENT: Wert 12.5', 3: '3. Σ-FREQUENZFELD: 4.2 Hz' });
    expect(scoreAnswer(answer)?.fields).toMatchObject({ sigma_drift: 'Wert 1', sigma_frequenz: '' });
  });

  it('10: the heading of the fifth sigma field ends at its Ö', () => {
    expect(scoreAnswer(sigma())?.fields['sigma_strome']).toBe('ÖME: wert');
  });
});

it('the breakdown has the fields of the format and no others', () => {
  expect(scoreAnswer('### Kalibrierung:\nB')?.score.detail_breakdown).toEqual({
    ...{ driftkorper: false, kalibrierung: true, stromung: false },
  });
  expect(Object.keys(scoreAnswer(sigma())?.score.detail_breakdown ?? {})).toEqual(
    Object.keys(formatRules.SIGMA.weights),
  );
});

it('the total is what floating point makes of it, for every completeness and structure', () => {
  // 66 and 16 would be 51 in exact arithmetic.
  expect(Math.trunc(66 * 0.7 + 16 * 0.3)).toBe(50);
  const answer = '### Driftkörperanalyse:\nA\n### Strömungsverhältnisse:\nC';
  expect(scoreAnswer(answer)?.score).toMatchObject({ field_completeness: 66, total_score: 76 });
});

it('case does not matter in headings, and does in what chooses the parser', () => {
  expect(scoreAnswer(system.toUpperCase().replaceAll('###', '###'))).toMatchObject({
    format: 'HUMAN',
    score: { total_score: 0 },
  });
  expect(scoreAnswer(`Kalibrierung\n${system.toLowerCase()}`)).toMatchObject({ format: 'SYNTEX_SYSTEM' });
  expect(scoreAnswer(human().toLowerCase())).toMatchObject({ format: 'HUMAN', score: { total_score: 98 } });
});

it('a format that is asked for is used, whatever the answer looks like', () => {
  const answer = human({ 2: '2. HINTERGRUND MUSTER: die Kalibrierung.' });
  expect(scoreAnswer(answer, 'auto')).toMatchObject({ score: { total_score: 28 } });
  expect(scoreAnswer(answer, 'human')).toMatchObject({ format: 'HUMAN', score: { total_score: 98 } });
  expect(scoreAnswer(answer, 'sigma')).toMatchObject({ format: 'SIGMA', score: { total_score: 28 } });
  expect(scoreAnswer(answer, 'syntex_system')).toMatchObject({ format: 'SYNTEX_SYSTEM', score: { total_score: 0 } });
});

describe('whatever an answer looks like', () => {
  const pieces: readonly [string, ...string[]] = [
    ...['### ', '## ', '\n', ' ', '\t', '1.', '2.', '3.', '4.', '5.', '6.', '12.5', ':', '-', '- ', '**'],
    ...[
      'Σ-',
      'σ-',
      'Driftkörperanalyse',
      'Kalibrierung',
      'Strömungsverhältnisse',
      'kalibrierung',
      'HINTERGRUND MUSTER',
    ],
    ...sigmaTokens,
    ...humanTokens,
    ...['wert', 'Wort.', 'Ö', 'ß', '😀', '\u00a0', '\u0085', '\ufeff', '\ud800', '\r\n'],
  ] as unknown as readonly [string, ...string[]];
  const seeds: readonly [string, ...string[]] = [system, sigma(), human(), ''];

  function mutated(random: SeededRandom): string {
    const characters = [...random.pick(seeds)];
    for (let change = random.between(0, 12); change > 0; change--) {
      const at = random.between(0, characters.length);
      if (random.next() < 0.4) characters.splice(at, random.between(1, 20));
      else characters.splice(at, 0, random.pick(pieces));
    }
    return characters.join('');
  }

  it('a long blank is scored at once', () => {
    const blank = '\n '.repeat(1_000_000);
    expect(scoreAnswer(`${human()}${blank}x`)).toMatchObject({ format: 'HUMAN', score: { total_score: 98 } });
    expect(scoreAnswer(`1. DRIFT:${blank}x${blank}2. nichts`)?.fields).toEqual({ drift: 'x' });
    expect(scoreAnswer(`${sigma()}${blank}x`)).toMatchObject({ score: { total_score: 98 } });
    expect(scoreAnswer(`${system}${blank}x`)).toMatchObject({ score: { total_score: 100 } });
  });

  it('its score keeps to the rules', () => {
    const random = new SeededRandom('answers');
    const totals = new Set<number>();
    for (let index = 0; index < 3000; index++) {
      const answer = mutated(random);
      const scored = scoreAnswer(answer);
      if (scored === null) {
        expect(answer.replaceAll('\u0085', '').trim()).toBe('');
        continue;
      }
      const { format, score, fields } = scored;
      const { weights } = formatRules[format];
      totals.add(score.total_score);
      const wrong = JSON.stringify({ answer, score });
      expect(Object.keys(score.detail_breakdown), wrong).toEqual(Object.keys(weights));
      const sum = Object.entries(weights).reduce((all, [name, weight]) => all + (fields[name] ? weight : 0), 0);
      expect(score.field_completeness, wrong).toBe(sum);
      expect(Number.isInteger(score.total_score) && score.total_score >= 0, wrong).toBe(true);
      if (format === 'SYNTEX_SYSTEM') {
        expect([53, 76, 100], wrong).toContain(score.total_score);
      } else {
        expect(score.total_score, wrong).toBeLessThanOrEqual(98);
        expect(score.structure_adherence % 16, wrong).toBe(0);
        // At least 90 is all six numbers with at least the first five fields, and nothing else.
        const missing = Object.keys(weights)
          .slice(0, 5)
          .filter((name) => !fields[name]);
        expect(score.total_score >= 90, wrong).toBe(missing.length === 0 && score.structure_adherence === 96);
      }
    }
    expect(totals.size).toBeGreaterThan(30);
  });
});
