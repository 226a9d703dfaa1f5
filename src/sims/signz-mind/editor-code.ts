import type { SeededRandom } from '../../seeded-random.js';

const nouns = [
  'order',
  'invoice',
  'sensor',
  'reading',
  'route',
  'ticket',
  'player',
  'recipe',
  'lesson',
  'parcel',
] as const;
const fields = ['price', 'weight', 'count', 'level', 'distance', 'score', 'duration', 'rating'] as const;
const remarks = ['Größe prüfen', 'siehe Café-Liste', 'naïve Fassung', 'Einheit: µm', 'später → Cache'] as const;

type Template = (noun: string, field: string, random: SeededRandom) => string;

const templates: readonly [Template, ...Template[]] = [
  (noun, field) => `def total_${field}(${noun}s):
    """Return the sum of ${field} over all ${noun}s."""
    return sum(${noun}.${field} for ${noun} in ${noun}s)
`,
  (noun, field) => `def average_${field}(${noun}s):
    """Return the mean ${field}, or 0 when there is no ${noun}."""
    if not ${noun}s:
        return 0.0
    return total_${field}(${noun}s) / len(${noun}s)
`,
  (noun, field, random) => `def filter_${noun}s(${noun}s, limit=${random.between(2, 90)}):
    """Keep every ${noun} whose ${field} is at most limit."""
    return [${noun} for ${noun} in ${noun}s if ${noun}.${field} <= limit]
`,
  (noun, field) => `def sort_${noun}s_by_${field}(${noun}s, reverse=False):
    """Return the ${noun}s in the order of their ${field}."""
    return sorted(${noun}s, key=lambda ${noun}: ${noun}.${field}, reverse=reverse)
`,
  (noun, field) => `def group_${noun}s_by_${field}(${noun}s):
    """Return a dict from ${field} to the ${noun}s that have it."""
    groups = defaultdict(list)
    for ${noun} in ${noun}s:
        groups[${noun}.${field}].append(${noun})
    return dict(groups)
`,
  (noun, field, random) => `class ${capital(noun)}Store:
    """Holds every ${noun} by its id.  # ${random.pick(remarks)}"""

    def __init__(self):
        self._${noun}s = {}

    def add(self, ${noun}):
        if ${noun}.id in self._${noun}s:
            raise ValueError(f"${noun} {${noun}.id} is known")
        self._${noun}s[${noun}.id] = ${noun}

    def highest_${field}(self):
        return max(self._${noun}s.values(), key=lambda ${noun}: ${noun}.${field})
`,
];

export interface SourceFile {
  readonly fileName: string;
  readonly content: string;
}

/** A Python module about one thing; every version after the first has one more block and a changed limit. */
export function sourceFile(random: SeededRandom, number: number, version: number): SourceFile {
  const noun = random.pick(nouns);
  const field = random.pick(fields);
  const blocks = Array.from({ length: random.between(2, 4) + version }, () =>
    random.pick(templates)(noun, field, random),
  );
  const head = `"""${capital(noun)}s: tools for their ${field}. Version ${version + 1}."""\nfrom collections import defaultdict\n`;
  return { fileName: `${noun}_${number}.py`, content: [head, ...new Set(blocks)].join('\n\n') };
}

/** A cursor inside a word of a file: what is before it, and the words that an accepted suggestion completes. */
export function suggestionIn(content: string, random: SeededRandom): { context: string; output: string } {
  const lines = content.split('\n');
  const candidates = lines.flatMap((line, index) => (/^\s+\w{3,}.*\w{4,}/.test(line) ? [index] : []));
  const chosen = candidates[random.between(0, Math.max(0, candidates.length - 1))] ?? 0;
  const line = lines[chosen] ?? '';
  const words = [...line.matchAll(/\w{4,}/g)];
  const word = words[random.between(0, Math.max(0, words.length - 1))];
  const start = word?.index ?? 0;
  const before = [...lines.slice(0, chosen), line.slice(0, start + random.between(1, 3))].join('\n');
  return { context: before, output: line.slice(start) };
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
