/** Boundaries of source text, best first: between top-level blocks, at a blank line, at a line end. */
const boundaries = [/\n\s*\n(?=\S)/g, /\n[ \t]*\n/g, /\n/g];

/**
 * Splits source text into parts of at most `maxCharacters` UTF-16 units, as few as its boundaries allow. A boundary in the
 * first half of a part is passed over for the next kind, so that parts do not become tiny. Line ends become `\n`; empty
 * parts are dropped.
 */
export function splitSource(text: string, maxCharacters: number): string[] {
  const parts: string[] = [];
  let rest = text.replaceAll('\r\n', '\n');
  while (rest.length > maxCharacters) {
    const end = cutBefore(rest, maxCharacters);
    parts.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  parts.push(rest);
  return parts.map((part) => part.replace(/^\n+/, '').trimEnd()).filter((part) => part !== '');
}

function cutBefore(text: string, limit: number): number {
  const window = text.slice(0, limit);
  for (const boundary of boundaries) {
    let end = 0;
    for (const match of window.matchAll(boundary)) end = match.index + match[0].length;
    if (end >= limit / 2) return end;
  }
  // One long line. A surrogate pair stays whole.
  return /[\uD800-\uDBFF]$/.test(window) ? limit - 1 : limit;
}
