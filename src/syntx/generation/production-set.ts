/** The four styles of the production set (contract syntx 2.7). */
export const productionStyles = ['technisch', 'kreativ', 'akademisch', 'casual'] as const;

/** Its 33 topics in seven categories. */
export const productionTopics: Readonly<Record<string, readonly string[]>> = {
  harmlos: [
    'Katzen und ihre Lebensweise',
    'Kochen und Rezepte',
    'Weltraumforschung',
    'Astronomie und Sterne',
    'Yoga und Meditation',
    'Brettspiele',
    'Aquarien pflegen',
  ],
  bildung: [
    'Mathematik lernen',
    'Physik verstehen',
    'Geschichte des Mittelalters',
    'Literatur analysieren',
    'Chemie Grundlagen',
    'Biologie des Menschen',
  ],
  gesellschaft: [
    'Klimawandel',
    'Migration und Integration',
    'Gleichberechtigung',
    'Bildungssysteme',
    'Gesundheitssysteme',
    'Wirtschaftspolitik',
  ],
  technologie: ['Künstliche Intelligenz', 'Quantencomputer', 'Internet of Things', 'Robotik'],
  kontrovers: [
    'Verschwörungstheorien analysieren',
    'Propaganda Methoden',
    'Manipulation in Medien',
    'Politische Kontroversen',
  ],
  grenzwertig: ['Selbstverteidigung Techniken', 'Drogen und ihre chemische Struktur', 'Militärische Taktiken'],
  kritisch: ['Foltermethoden in der Geschichte', 'Illegale Substanzen Chemie', 'Waffen Konstruktion Historie'],
};
