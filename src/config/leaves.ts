import { z } from 'zod';

/** One setting that can be given on its own: not a table, but a value. */
export interface Leaf {
  readonly path: readonly string[];
  readonly schema: z.ZodType;
  readonly description: string | undefined;
}

/** All settings of a schema, in the order of their declaration. */
export function leavesOf(schema: z.ZodType, path: readonly string[] = []): Leaf[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject && path.length < 8) {
    return Object.entries(inner.shape as Record<string, z.ZodType>).flatMap(([key, child]) =>
      leavesOf(child, [...path, key]),
    );
  }
  return [{ path, schema, description: schema.description ?? inner.description }];
}

/** `train.stallMinutes` → `TOWER_TRAIN_STALL_MINUTES`. */
export function environmentName(path: readonly string[]): string {
  return ['TOWER', ...path.map((key) => key.replace(/([a-z0-9])([A-Z])/g, '$1_$2'))].join('_').toUpperCase();
}

/**
 * The value that a text stands for in a setting: the text itself where the setting accepts it, else as JSON, else as a
 * comma-separated list. A text that fits nothing is returned unchanged, so that the fault names it.
 */
export function valueFromText(schema: z.ZodType, text: string): unknown {
  const parts = text.split(',').map((part) => part.trim());
  const candidates: unknown[] = [text, fromJson(text), parts, parts.map(fromJson)];
  return candidates.find((candidate) => schema.safeParse(candidate).success) ?? text;
}

/** A text that is not JSON stands for itself. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  return schema;
}
