import { transliterate } from 'transliteration';

import { sha256Of } from '../files/sha256.js';

/** File names stay well below the 255 bytes of file systems, with number, version and extension added. */
const longestName = 60;

/** Letters that German writes as two; the transliteration alone would drop the second. */
const germanLetters: [string, string][] = [
  ['ä', 'ae'],
  ['ö', 'oe'],
  ['ü', 'ue'],
  ['Ä', 'Ae'],
  ['Ö', 'Oe'],
  ['Ü', 'Ue'],
];

/** Device names of Windows, which no file may have there, whatever its extension; datasets travel. */
const reservedNames = /^(con|prn|aux|nul|com\d|lpt\d)$/i;

/** The name as people read it: without control characters, one space where several were. May be empty. */
export function displayName(name: string): string {
  return name
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => (character === '\u200d' ? character : ' '))
    .replace(/\s+/gu, ' ')
    .trim();
}

/**
 * The name in file names and ids: lower-case letters, digits and `_`, at most 60 characters, never empty, the same for the same
 * name everywhere. Different names may share a slug; versions keep them apart.
 */
export function slugOf(name: string): string {
  return safeName(name.toLowerCase(), /[^a-z0-9]+/g).toLowerCase();
}

/** The name of a dataset's folder, without its version: as {@link slugOf}, but in the case of the name. */
export function folderNameOf(name: string): string {
  return safeName(name, /[^A-Za-z0-9]+/g);
}

/** The name of the LoRA when the job gives none. */
export function defaultOutputOf(name: string): string {
  return `${slugOf(name)}_lora`;
}

/** A name that a person gave to the LoRA as a safe file name, without `.safetensors`; dots and dashes inside it stay. */
export function outputNameOf(output: string): string {
  return safeName(output.replace(/\.safetensors$/i, ''), /[^A-Za-z0-9.-]+|\.{2,}/g);
}

function safeName(name: string, unsafe: RegExp): string {
  const ascii = transliterate(displayName(name.normalize('NFKC')), { replace: germanLetters });
  const clean = ascii
    .replace(unsafe, '_')
    .replace(/_{2,}/g, '_')
    .replace(/^[_.-]+|[_.-]+$/g, '');
  const digest = sha256Of(name).slice(0, 8);
  if (clean === '') return `character_${digest}`;
  if (reservedNames.test(clean)) return `${clean}_character`;
  // Two long names with the same start stay apart.
  return clean.length <= longestName ? clean : `${clean.slice(0, longestName - 9)}_${digest}`;
}
