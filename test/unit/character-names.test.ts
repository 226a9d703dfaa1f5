import { describe, expect, it } from 'vitest';

import { defaultOutputOf, displayName, folderNameOf, outputNameOf, slugOf } from '../../src/character/names.js';

const hostile = [
  'Elara',
  'Müller Straße',
  '../../etc/passwd',
  '..',
  '/',
  'a/b\\c',
  'エララ',
  '🐉',
  '👩‍🚀🔥',
  'Élodie\u0000\n<script>',
  'x'.repeat(300),
  'ж'.repeat(300),
  '-rf *',
  '.hidden',
  'con',
  'LPT1',
  "O'Brien; rm -rf ~",
  '%SAVE%',
  ' ',
  '\u202eevil',
];

describe('W22: names are safe in paths, whatever they are', () => {
  it.each(hostile)('%j', (name) => {
    expect(slugOf(name)).toMatch(/^[a-z0-9][a-z0-9_]{0,59}$/);
    expect(folderNameOf(name)).toMatch(/^[A-Za-z0-9][A-Za-z0-9_]{0,59}$/);
    expect(outputNameOf(name)).toMatch(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$/);
    expect(outputNameOf(name)).not.toContain('..');
    for (const safe of [slugOf(name), folderNameOf(name), outputNameOf(name)]) {
      expect(safe).not.toMatch(/^(con|prn|aux|nul|com\d|lpt\d)$/i);
    }
    expect(slugOf(name)).toBe(slugOf(name));
  });

  it('they stay readable', () => {
    expect(slugOf('Müller Straße')).toBe('mueller_strasse');
    expect(folderNameOf('Müller Straße')).toBe('Mueller_Strasse');
    expect(folderNameOf('Elara')).toBe('Elara');
    expect(slugOf('Łukasz Żółć')).toBe('lukasz_zolc');
    expect(slugOf('エララ')).toBe('erara');
    expect(defaultOutputOf('Elara the Brave')).toBe('elara_the_brave_lora');
    expect(outputNameOf('elara.v2-final.safetensors')).toBe('elara.v2-final');
  });

  it('a name without a letter gets one of its own, and long names with one start stay apart', () => {
    expect(slugOf('🐉')).toMatch(/^character_[0-9a-f]{8}$/);
    expect(slugOf('🐉')).not.toBe(slugOf('🔥'));
    expect(slugOf(`${'x'.repeat(300)}1`)).not.toBe(slugOf(`${'x'.repeat(300)}2`));
    expect(slugOf('ELARA')).toBe(slugOf('elara'));
  });

  it('the display name keeps what people read and loses what they cannot', () => {
    expect(displayName('  Élodie \u0000\u202e der  Große\n👩‍🚀 ')).toBe('Élodie der Große 👩‍🚀');
  });
});
