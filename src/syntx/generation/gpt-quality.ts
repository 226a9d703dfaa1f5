import { pythonRound } from '../scores/python-round.js';
import { pythonSpace, stripped } from '../scores/python-text.js';

/** Quality of a generated prompt, 0 to 10, as the original judges it (contract syntx 2.5); keys as in the queue's metadata. */
export interface GptQuality {
  readonly length_score: number;
  readonly complexity_score: number;
  readonly structure_score: number;
  readonly clarity_score: number;
  readonly total_score: number;
  readonly max_score: 10;
  readonly quality_rating: 'excellent' | 'gut' | 'okay' | 'schwach' | 'sehr schlecht';
  /** Missing for an empty text. */
  readonly stats?: {
    /** Code points. */
    readonly length: number;
    readonly sentences: number;
    readonly words: number;
    readonly avg_word_length: number;
  };
}

const space = new RegExp(`[${pythonSpace}]+`);

export function gptQuality(text: string): GptQuality {
  if (text === '') return rated({ length_score: 0, complexity_score: 0, structure_score: 0, clarity_score: 0 });
  const bare = stripped(text);
  const words = bare === '' ? [] : bare.split(space);
  const length = [...text].length;
  const sentences = [...text].filter((character) => '.!?'.includes(character)).length;
  const meanLength = words.length === 0 ? 0 : words.reduce((sum, word) => sum + [...word].length, 0) / words.length;
  return {
    ...rated({
      length_score: lengthScore(length),
      complexity_score: complexityScore(sentences, words.length),
      structure_score: structureScore(text),
      clarity_score: clarityScore(meanLength),
    }),
    stats: { length, sentences, words: words.length, avg_word_length: pythonRound(meanLength, 2) },
  };
}

type Parts = Pick<GptQuality, 'length_score' | 'complexity_score' | 'structure_score' | 'clarity_score'>;

function rated(parts: Parts): GptQuality {
  const total = parts.length_score + parts.complexity_score + parts.structure_score + parts.clarity_score;
  return { ...parts, total_score: total, max_score: 10, quality_rating: ratingOf(total) };
}

function lengthScore(length: number): number {
  if (length < 50 || length > 1000) return 0;
  if (length > 800) return 1;
  return length >= 100 && length <= 500 ? 3 : 2;
}

function complexityScore(sentences: number, words: number): number {
  if (sentences >= 3 && words >= 50) return 3;
  if (sentences >= 2 && words >= 30) return 2;
  return sentences >= 1 ? 1 : 0;
}

function structureScore(text: string): number {
  const hasList = ['- ', '* ', '1.', '2.'].some((mark) => text.includes(mark));
  return (text.includes('\n') ? 1 : 0) + (hasList ? 1 : 0);
}

function clarityScore(meanLength: number): number {
  if (meanLength >= 4 && meanLength <= 7) return 2;
  return meanLength >= 3 && meanLength <= 9 ? 1 : 0;
}

function ratingOf(total: number): GptQuality['quality_rating'] {
  if (total >= 9) return 'excellent';
  if (total >= 7) return 'gut';
  if (total >= 5) return 'okay';
  return total >= 3 ? 'schwach' : 'sehr schlecht';
}
