const pattern =
  /^(?<date>\d{4}-\d{2}-\d{2})[T ](?<clock>\d{2}:\d{2}:\d{2})(?:[.,](?<fraction>\d{1,9}))?\s?(?<zone>[Zz]|[+-]\d{2}:?\d{2})?$/;

/**
 * A time as `YYYY-MM-DDTHH:MM:SS.ffffffZ` (UTC, microseconds), so that comparing texts compares times. Editors write
 * milliseconds and `Z` (contract signz-mind 3.1); a missing zone means UTC, as in their databases.
 *
 * @returns `undefined` when the text is no such time.
 */
export function normalisedTime(text: string): string | undefined {
  if (isEditorTime(text)) return `${text.slice(0, -1)}000Z`;
  const groups = pattern.exec(text)?.groups;
  if (groups === undefined) return undefined;
  const zone = (groups['zone'] ?? 'Z').toUpperCase().replace(/^([+-]\d{2}):?(\d{2})$/, '$1:$2');
  const moment = new Date(`${groups['date'] ?? ''}T${groups['clock'] ?? ''}${zone}`);
  if (Number.isNaN(moment.getTime())) return undefined;
  const fraction = (groups['fraction'] ?? '').slice(0, 6).padEnd(6, '0');
  return `${moment.toISOString().slice(0, 19)}.${fraction}Z`;
}

/** `YYYY-MM-DDTHH:MM:SS.mmmZ` of a day that exists. Nearly every row has it, so it has a short way. */
function isEditorTime(text: string): boolean {
  const moment = text.length === 24 ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(moment) && new Date(moment).toISOString() === text;
}
