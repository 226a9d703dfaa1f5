import { sha256Of } from '../../files/sha256.js';
import { normalisedTime } from './normalised-time.js';

export interface SnippetRow {
  readonly kind: 'snippet';
  readonly uuid: string;
  readonly pathHash: string;
  readonly content: string;
  readonly qualityLabel: string;
  readonly created: string | null;
  /** The client's own time, normalised so that text order is time order. */
  readonly modified: string;
}

export interface FeedbackRow {
  readonly kind: 'feedback';
  readonly uuid: string;
  readonly pathHash: string | null;
  readonly context: string;
  readonly actionType: string;
  readonly output: string;
  readonly feedbackType: string;
  readonly notes: string | null;
  readonly created: string | null;
  readonly modified: string | null;
}

/** A row, or why the line holds none. `recognised`: it is an object of a known type that fails in its fields. */
export type ParsedLine =
  | { readonly row: SnippetRow | FeedbackRow }
  | { readonly row?: never; readonly reason: string; readonly recognised: boolean };

/** Thrown inside {@link parseRow} only; its message is the reason. */
class FieldFault extends Error {}

/**
 * One line of a batch as a row (contract signz-mind 3.1, 3.3).
 *
 * Required fields follow the original's rule, Python truthiness: `0`, `false`, `[]` and `{}` count as missing. Paths are
 * kept as hashes only: they are absolute paths on users' machines and are never trained on. Missing times stay empty
 * instead of becoming the time of import, so that importing again gives the same rows.
 */
export function parseRow(text: string): ParsedLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { reason: `not JSON: ${(error as Error).message}`, recognised: false };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { reason: `expected a JSON object, found ${kindOf(value)}`, recognised: false };
  }
  const fields = value as Record<string, unknown>;
  const type = fields['type'];
  if (type !== 'snippet' && type !== 'feedback') {
    const found = typeof type === 'string' ? JSON.stringify(type.slice(0, 40)) : kindOf(type);
    return { reason: `expected type "snippet" or "feedback", found ${found}`, recognised: false };
  }
  try {
    return { row: type === 'snippet' ? snippet(fields) : feedback(fields) };
  } catch (error) {
    if (error instanceof FieldFault) return { reason: error.message, recognised: true };
    throw error;
  }
}

function snippet(fields: Record<string, unknown>): SnippetRow {
  return {
    kind: 'snippet',
    uuid: required(fields, 'uuid'),
    pathHash: sha256Of(required(fields, 'path')),
    content: required(fields, 'content'),
    qualityLabel: required(fields, 'quality_label'),
    created: optional(fields, 'timestamp_created_db'),
    modified: time(required(fields, 'last_modified_utc')),
  };
}

function feedback(fields: Record<string, unknown>): FeedbackRow {
  const path = optional(fields, 'original_file_path');
  const modified = optional(fields, 'last_modified_utc');
  return {
    kind: 'feedback',
    uuid: required(fields, 'uuid'),
    pathHash: path === null ? null : sha256Of(path),
    context: required(fields, 'source_code_context'),
    actionType: required(fields, 'ai_action_type'),
    // These two may be empty, but not absent.
    output: present(fields, 'ai_generated_output'),
    feedbackType: present(fields, 'user_feedback_type'),
    notes: optional(fields, 'notes'),
    created: optional(fields, 'timestamp_created_db'),
    modified: modified === null ? null : time(modified),
  };
}

function required(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (isFalsyInPython(value)) throw new FieldFault(`${name} is missing or empty`);
  return asText(name, value);
}

function present(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (value === undefined || value === null) throw new FieldFault(`${name} is missing`);
  return asText(name, value);
}

function optional(fields: Record<string, unknown>, name: string): string | null {
  const value = fields[name];
  return value === undefined || value === null ? null : asText(name, value);
}

/** Numbers and booleans become text, as SQLite's column affinity makes them for the original. */
function asText(name: string, value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value !== 'string') throw new FieldFault(`${name} is ${kindOf(value)}, expected text`);
  if (value.includes('\0')) throw new FieldFault(`${name} contains a NUL character: not text`);
  if (/\p{Surrogate}/u.test(value)) throw new FieldFault(`${name} contains half a surrogate pair: not Unicode text`);
  return value;
}

function time(text: string): string {
  const normalised = normalisedTime(text);
  if (normalised === undefined) {
    throw new FieldFault(`last_modified_utc is ${JSON.stringify(text.slice(0, 40))}, expected an ISO 8601 time`);
  }
  return normalised;
}

function isFalsyInPython(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return !value;
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'none';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
