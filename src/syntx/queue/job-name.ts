import { wallClock } from './local-time.js';

/** What the base name of a job's files says (contract syntx 1.2). */
export interface NameParts {
  /** Local time of the name, `YYYY-MM-DDTHH:MM:SS.ffffff`. */
  readonly createdAt: string;
  /** The category; in names from before December 2025 a slug of the topic. */
  readonly subject: string;
  readonly style: string;
}

const responseSuffix = '_response.txt';
/** Of one name in a directory, in bytes, on every file system of Linux. */
const longestFileName = 255;
const longestPart = 80;
const namePattern = /^(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_(\d{6})__topic_(.*?)__style_(.*)$/;
const retrySuffix = /(?:__retry\d+)+$/;
const copySuffix = /__copy\d+$/;

/** A `_response.txt` is an answer and never a job. */
export function isPromptFile(name: string): boolean {
  return name.endsWith('.txt') && !name.endsWith(responseSuffix) && !name.startsWith('.');
}

export function isMetadataFile(name: string): boolean {
  return name.endsWith('.json') && !name.startsWith('.');
}

/** Base name of `B.txt`, `B.json` or `B_response.txt`; a bare base name stays. */
export function baseNameOf(file: string): string {
  if (file.endsWith(responseSuffix)) return file.slice(0, -responseSuffix.length);
  return file.replace(/\.(txt|json)$/, '');
}

/** The base name that the job was made with: the suffixes of its failures do not count (contract syntx 1.2). */
export function jobIdOf(baseName: string): string {
  return baseName.replace(retrySuffix, '');
}

/** `undefined` for a name that follows no pattern of the original; such a job is one all the same. */
export function partsOf(baseName: string): NameParts | undefined {
  const match = namePattern.exec(jobIdOf(baseName).replace(copySuffix, ''));
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, microseconds, subject = '', style = ''] = match;
  return { createdAt: `${year}-${month}-${day}T${hour}:${minute}:${second}.${microseconds}`, subject, style };
}

/**
 * `<YYYYMMDD>_<HHMMSS>_<ffffff>__topic_<category>__style_<style>` in local time. The microseconds below the instant's
 * milliseconds are `sequence`, which keeps the jobs of a batch apart and in order.
 */
export function newBaseName(
  { category, style }: { readonly category: string; readonly style: string },
  time: Date,
  sequence: number,
  timeZone?: string,
): string {
  const instant = new Date(time.getTime() + Math.floor(sequence / 1000));
  const { year, month, day, hour, minute, second } = wallClock(instant, timeZone);
  const microseconds = (instant.getTime() % 1000) * 1000 + (sequence % 1000);
  const clock = `${year}${month}${day}_${hour}${minute}${second}_${String(microseconds).padStart(6, '0')}`;
  return `${clock}__topic_${namePart(category)}__style_${namePart(style)}`;
}

/** A style or category as a name has it. The original writes it as it is; only what cannot be in a file name is replaced. */
export function namePart(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what must not get into a name
  return shortened(text.replace(/[/\\\u0000-\u001f]/g, '_').slice(0, 60), longestPart);
}

/** Whether a file can have this name. */
export function isFileName(name: string): boolean {
  return Buffer.byteLength(name) <= longestFileName;
}

/** Whether every file of a job can have this base name. */
export function fitsFiles(baseName: string): boolean {
  return isFileName(`${baseName}${responseSuffix}`);
}

/**
 * `B__retry<N>`. A chain of failures that has grown too long for a file name becomes its last link; a name that leaves no
 * room for even that stays as it is.
 */
export function failedName(baseName: string, count: number): string {
  const suffix = `__retry${count}`;
  return [`${baseName}${suffix}`, `${jobIdOf(baseName)}${suffix}`].find(fitsFiles) ?? baseName;
}

/** `B__copy<N>`, shortened where a file name has no room for it. */
export function copyName(baseName: string, copy: number): string {
  const suffix = `__copy${copy}`;
  return `${shortened(baseName, longestFileName - responseSuffix.length - suffix.length)}${suffix}`;
}

/** The longest beginning of a text that has so many bytes in UTF-8. */
function shortened(text: string, bytes: number): string {
  let length = 0;
  let short = '';
  for (const character of text) {
    length += Buffer.byteLength(character);
    if (length > bytes) break;
    short += character;
  }
  return short;
}

/** By code points in UTF-8 order, as the original sorts names, and as `<` does for all names that it makes. */
export function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
