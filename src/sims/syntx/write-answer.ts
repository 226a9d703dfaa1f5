import type { SeededRandom } from '../../seeded-random.js';
import { formatRules, type AnswerFormat } from '../../syntx/scores/answer-formats.js';
import { scoreAnswer } from '../../syntx/scores/quality-score.js';

/** An answer to write: which fields it has, and how many of the numbers occur in it. */
interface AnswerPlan {
  readonly fields: readonly boolean[];
  readonly numbers: number;
}

const headings: Readonly<Record<AnswerFormat, readonly string[]>> = {
  SYNTEX_SYSTEM: ['### Driftkörperanalyse:', '### Kalibrierung:', '### Strömungsverhältnisse:'],
  SIGMA: ['DRIFTGRADIENT', 'MECHANISMUSKNOTEN', 'FREQUENZFELD', 'DICHTELEVEL', 'ZWEISTRÖME', 'KERNEXTRAKT'].map(
    (token, index) => `${index + 1}. Σ-${token}:`,
  ),
  HUMAN: ['DRIFT', 'HINTERGRUND-MUSTER', 'DRUCKFAKTOREN', 'TIEFE', 'WIRKUNG', 'KLARTEXT'].map(
    (token, index) => `${index + 1}. ${token}:`,
  ),
};

/** No digit, no heading and none of the words that choose a parser. */
const sentences = [
  'Der Gedanke bewegt sich ruhig und ohne Umwege.',
  'Zwischen den Polen entsteht ein Gefälle, das trägt.',
  'Was schwer wirkt, liegt tiefer als es scheint.',
  'Die Teile passen zueinander, wenn man sie lässt.',
] as const;

/** Format that a wrapper asks for (contract syntx 3.1). */
export function formatOf(wrapper: string): AnswerFormat {
  if (wrapper === 'syntex_system') return 'SYNTEX_SYSTEM';
  return wrapper.startsWith('sigma') ? 'SIGMA' : 'HUMAN';
}

/**
 * An answer in the format of a wrapper that scores as wished. Not every total can be reached; of the two next to the wish one is
 * drawn, so that on average the wish is met (below the highest total of the format: 100, or 98 with six fields).
 */
export function writeAnswer(
  wished: number,
  format: AnswerFormat,
  random: SeededRandom,
): { readonly text: string; readonly total: number } {
  const plans = plansOf(format);
  const totals = [...plans.keys()].sort((a, b) => a - b);
  const below = totals.filter((total) => total <= wished).at(-1) ?? 0;
  const above = totals.find((total) => total >= wished) ?? below;
  const total = above > below && random.next() < (wished - below) / (above - below) ? above : below;
  const plan = plans.get(total) ?? { fields: [], numbers: 0 };
  const text = render(plan, format, random);
  const written = scoreAnswer(text)?.score.total_score;
  if (written !== total)
    throw new Error(`the simulated answer scores ${written ?? 'nothing'} and not ${total}: ${text}`);
  return { text, total };
}

const known = new Map<AnswerFormat, ReadonlyMap<number, AnswerPlan>>();

/** Every total that an answer can have, and how. */
function plansOf(format: AnswerFormat): ReadonlyMap<number, AnswerPlan> {
  const cached = known.get(format);
  if (cached !== undefined) return cached;
  const weights = Object.values(formatRules[format].weights);
  const plans = new Map<number, AnswerPlan>();
  for (let chosen = 0; chosen < 2 ** weights.length; chosen++) {
    const fields = weights.map((_weight, index) => Math.floor(chosen / 2 ** index) % 2 === 1);
    const count = fields.filter(Boolean).length;
    const completeness = weights.reduce((sum, weight, index) => sum + (fields[index] ? weight : 0), 0);
    // An answer with a heading of the first format has its whole structure; without one it is scored by numbers.
    const isMarked = format === 'SYNTEX_SYSTEM' && count > 0;
    for (let numbers = isMarked ? 0 : count; numbers <= (isMarked ? 0 : 6); numbers++) {
      const structure = isMarked ? 100 : numbers * 16;
      const total = Math.trunc(completeness * 0.7 + structure * 0.3);
      if (!plans.has(total)) plans.set(total, { fields, numbers });
    }
  }
  known.set(format, plans);
  return plans;
}

function render({ fields, numbers }: AnswerPlan, format: AnswerFormat, random: SeededRandom): string {
  const own = format === 'SYNTEX_SYSTEM' ? '\n' : ' ';
  const parts = headings[format].filter((_heading, index) => fields[index]);
  const body = parts.map((heading) => `${heading}${own}${random.pick(sentences)} (simulated)`);
  const isNumbered = format !== 'SYNTEX_SYSTEM';
  const present = new Set(isNumbered ? fields.flatMap((has, index) => (has ? [index + 1] : [])) : []);
  const missing = [1, 2, 3, 4, 5, 6]
    .filter((number) => !present.has(number))
    .slice(0, Math.max(0, numbers - present.size));
  // In one line at the end: a number at the start of a line would end a field.
  const rest =
    missing.length === 0 ? [] : [`Offen bleiben ${missing.map((number) => `${number}.`).join(' ')} (simulated)`];
  const lead =
    format === 'SIGMA' && parts.length > 0 ? ['Es folgen Σ-DRIFTGRADIENT und was dazu gehört. (simulated)'] : [];
  const text = [...lead, ...body, ...rest].join('\n');
  return text === '' ? `${random.pick(sentences)} (simulated)` : text;
}
