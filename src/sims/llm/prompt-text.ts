import { SeededRandom } from '../../seeded-random.js';
import { stylePrefixes } from '../../syntx/generation/request-text.js';
import { shuffled } from '../../syntx/learning/distributions.js';

const openings = [
  (topic: string) => `Beschreibe das Feld „${topic}“ so, dass jede Bewegung darin sichtbar wird.`,
  (topic: string) => `Untersuche, welche Kräfte „${topic}“ im Innersten zusammenhalten.`,
  (topic: string) => `Zeichne eine Karte von „${topic}“, vom Rand bis zum Kern.`,
  (topic: string) => `Erkläre „${topic}“ einem Menschen, der davon noch nie gehört hat.`,
  (topic: string) => `Nimm „${topic}“ als Beispiel und zeige, wie sich Ordnung bildet und löst.`,
];
const aspects = [
  'Woher kommt die erste Verschiebung, und wer bemerkt sie zuletzt?',
  'Welche Muster kehren wieder, obwohl sich alles andere ändert?',
  'Nenne drei Druckpunkte und begründe ihre Reihenfolge.',
  'Was liegt unter der Oberfläche, das selten ausgesprochen wird?',
  'Wie wirkt es auf Beteiligte, und wie auf Zuschauer?',
  'Beschreibe den Fluss der Information zwischen zwei entfernten Stellen.',
  'Welche Rückkopplung hält das Ganze stabil, und wann kippt sie?',
  'Vergleiche den heutigen Zustand mit dem vor zehn Jahren.',
  'Welche Messgröße würde eine Veränderung am frühesten anzeigen?',
  'Fasse am Ende in einem einzigen klaren Satz zusammen, was bleibt.',
  'Trenne dabei streng zwischen Beobachtung und Deutung.',
  'Verwende mindestens ein Bild aus der Natur und eines aus dem Handwerk.',
];
const closings = [
  'Gliedere die Antwort in Abschnitte.',
  'Antworte in vollständigen Sätzen.',
  'Vermeide Wiederholungen.',
];

/**
 * A prompt about what a message asks for, which names its subject and its style: the same for the same message and number,
 * another for any other. So a simulated wrapper service can have styles that it likes.
 */
export function simulatedPromptText(message: string, repetition: number): string {
  const random = new SeededRandom(`${message}/${repetition}`);
  const topic = /„([^“]+)“/.exec(message)?.[1] ?? message.split('\n')[0]!.replace(/^Formuliere [^:]+: /, '');
  const style = styleOf(message);
  const opening = openings[random.between(0, openings.length - 1)]!(topic.trim().slice(0, 80));
  const chosen = shuffled(random, aspects).slice(0, random.between(3, 4));
  const mark = `Blickwinkel ${random.hex(4)} (simuliert).`;
  return `${opening}${style === undefined ? '' : ` Stil: ${style}.`} ${mark}\n${chosen.map((aspect) => `- ${aspect}`).join('\n')}\n${random.pick(['', closings[0]!, closings[1]!, closings[2]!])}`.trim();
}

/** As the producer words it: in the task when it has learned, otherwise by the lead-in alone. */
function styleOf(message: string): string | undefined {
  const said = /im Stil „([^“]+)“/.exec(message)?.[1];
  return said ?? Object.entries(stylePrefixes).find(([, prefix]) => message.startsWith(prefix))?.[0];
}
