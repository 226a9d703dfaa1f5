import type { LearnedFrom, PlannedPrompt } from '../learning/draw.js';

/** Lead-ins by style; a style of one's own gets none (contract syntx 2.4). */
export const stylePrefixes: Readonly<Record<string, string>> = {
  technisch: 'Formuliere technisch und präzise: ',
  kreativ: 'Formuliere kreativ und mit Metaphern: ',
  akademisch: 'Formuliere wissenschaftlich: ',
  casual: 'Formuliere locker und leicht verständlich: ',
};
const leastFeedback = 0.5;

export interface RequestContext {
  /** What the run has learned; `null` when it explores. */
  readonly learnedFrom: LearnedFrom | null;
  readonly feedbackStrength: number;
}

/** What the model is asked for, before the lead-in of the style: the bare topic, or what was learned and the task. */
export function requestText(prompt: PlannedPrompt, { learnedFrom, feedbackStrength }: RequestContext): string {
  if (learnedFrom === null) return prompt.topic;
  if (feedbackStrength < leastFeedback) {
    return `Schreibe einen Meta-Prompt zum Thema „${prompt.topic}“ im Stil „${prompt.style}“.`;
  }
  const { averageScore, averageFieldCompleteness: completeness, topCategories, topStyles } = learnedFrom;
  return [
    `Bisherige Prompts erreichten im Mittel ${averageScore} von 100 Punkten.`,
    `Mittlere Vollständigkeit der Felder: ${completeness} %.`,
    `Erfolgreiche Kategorien: ${topCategories.join(', ')}.`,
    `Erfolgreiche Stile: ${topStyles.join(', ')}.`,
    `Beste Erkennungsrate der Felder: ${completeness} %.`,
    '',
    `Aufgabe: Schreibe einen Meta-Prompt zum Thema „${prompt.topic}“ im Stil „${prompt.style}“.`,
    '',
    'Achte darauf:',
    '1. Verwende, was bisher gut abgeschnitten hat.',
    '2. Ziele darauf, dass die Antwort alle Felder füllt.',
    '3. Strebe eine Strukturtreue über 95 % an.',
    `4. Bleibe im Stil „${prompt.style}“.`,
    '',
    'Der Prompt muss ein Llama-Modell unter einem SYNTX-Wrapper dazu führen, alle Felder herauszuarbeiten.',
  ].join('\n');
}

/** What is sent: lead-in, text, and what has to change after earlier tries of the same prompt. */
export function sentText(
  text: string,
  style: string,
  tries: { readonly refused: number; readonly similar: number },
): string {
  const notes = [
    ...(tries.refused > 0 ? [`(Versuch ${tries.refused + 1}: Bitte mit anderen Worten formulieren.)`] : []),
    ...(tries.similar > 0 ? [`(Entwurf ${tries.similar + 1}: Bitte deutlich anders als bisher aufbauen.)`] : []),
  ];
  return [`${stylePrefixes[style] ?? ''}${text}`, ...notes].join('\n\n');
}
