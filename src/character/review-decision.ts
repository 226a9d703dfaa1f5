/** What a person says to a contact sheet. No import here: workflow code takes this file too. */
export interface ReviewDecision {
  /** Train now; with `reject`, without those images. `false` with `reject`: render them again and ask again. */
  readonly approve: boolean;
  readonly reject?: readonly { readonly index: number; readonly reason?: string }[];
  readonly captions?: readonly { readonly index: number; readonly caption: string }[];
  /** Who decided, for the record. */
  readonly by?: string;
}

/** What a decision is checked against. */
export interface ReviewFacts {
  readonly count: number;
  readonly accepted: number;
  readonly minImages: number;
}

const longestText = 2_000;

/** What is wrong with a decision, one text for each fault; for the validator of a workflow update. Pure. */
export function reviewFaults(decision: unknown, facts: ReviewFacts): string[] {
  if (!isTable(decision)) return [`expected a JSON object, found ${JSON.stringify(decision)}`];
  const { approve, reject = [], captions = [], by, ...others } = decision;
  const faults = Object.keys(others).map((key) => `${key}: expected one of approve, reject, captions, by`);
  if (typeof approve !== 'boolean') faults.push('approve: expected true or false');
  if (by !== undefined && (typeof by !== 'string' || by.length > longestText)) faults.push('by: expected a short text');
  faults.push(...rejectFaults(reject, facts), ...captionFaults(captions, facts));
  const rejected = new Set(indexesOf(reject));
  for (const index of indexesOf(captions)) {
    if (rejected.has(index)) faults.push(`captions: image ${String(index)} is rejected too`);
  }
  if (faults.length > 0) return faults;
  const left = facts.accepted - rejected.size;
  if (approve === true && left < facts.minImages) {
    faults.push(
      `reject: ${left} images would be left, at least ${facts.minImages} are needed; approve false renders again`,
    );
  }
  if (approve === false && rejected.size === 0 && indexesOf(captions).length === 0) {
    faults.push('approve: nothing to do: reject images, edit captions, or approve');
  }
  return faults;
}

function rejectFaults(reject: unknown, facts: ReviewFacts): string[] {
  return listFaults('reject', reject, facts, ({ reason, ...others }) => [
    ...Object.keys(others).map((key) => `${key}: expected one of index, reason`),
    ...(reason === undefined || isShortText(reason) ? [] : ['reason: expected a text of one line']),
  ]);
}

function captionFaults(captions: unknown, facts: ReviewFacts): string[] {
  return listFaults('captions', captions, facts, ({ caption, ...others }) => [
    ...Object.keys(others).map((key) => `${key}: expected one of index, caption`),
    // The trainer stops at an empty caption, and reads the first line of a longer one.
    ...(isShortText(caption) && caption.trim() !== '' ? [] : ['caption: expected a text of one line, not empty']),
  ]);
}

function listFaults(
  name: string,
  list: unknown,
  { count }: ReviewFacts,
  othersOf: (entry: Record<string, unknown>) => string[],
): string[] {
  if (!Array.isArray(list)) return [`${name}: expected a list`];
  const seen = new Set<unknown>();
  return (list as unknown[]).flatMap((entry, position) => {
    const at = `${name}[${position}]`;
    if (!isTable(entry)) return [`${at}: expected an object with index`];
    const { index, ...others } = entry;
    const faults = othersOf(others).map((fault) => `${at}.${fault}`);
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 1 || index > count) {
      faults.push(`${at}.index: expected the number of an image, 1 to ${count}, found ${JSON.stringify(index)}`);
    } else if (seen.has(index)) faults.push(`${at}.index: image ${index} is named twice`);
    seen.add(index);
    return faults;
  });
}

function indexesOf(list: unknown): unknown[] {
  return Array.isArray(list) ? (list as unknown[]).map((entry) => (isTable(entry) ? entry['index'] : undefined)) : [];
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= longestText && !/[\r\n]/.test(value);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
