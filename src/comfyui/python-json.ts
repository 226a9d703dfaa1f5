/** A text, which is skipped whole (to the end where it is not closed), or a number that JSON has no word for. */
const tokens = /"[^"\\]*(?:\\[^]?[^"\\]*)*(?:"|$)|-?Infinity|NaN/g;

/**
 * JSON as Python writes it: with `NaN` and `Infinity`, which become `null`. ComfyUI puts them into the graphs of its queue, history
 * and PNGs (`is_changed` of a node that always runs anew), also into those of others that are read beside one's own.
 *
 * @throws SyntaxError
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const strict = text.replace(tokens, (token) => (token.startsWith('"') ? token : 'null'));
    if (strict === text) throw error;
    return JSON.parse(strict) as unknown;
  }
}
