/**
 * A flat record as Python's `json.dumps` writes it with its defaults: `", "` and `": "` between things, every character
 * beyond ASCII as `\uXXXX` (contract signz-mind 3.1).
 */
export function pythonJson(record: Readonly<Record<string, string | number | boolean | null>>): string {
  const entries = Object.entries(record).map(([key, value]) => `${escaped(key)}: ${escaped(value)}`);
  return `{${entries.join(', ')}}`;
}

function escaped(value: string | number | boolean | null): string {
  return JSON.stringify(value).replace(
    /[\x7f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
