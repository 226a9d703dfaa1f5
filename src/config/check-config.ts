import type { z } from 'zod';

import { configSchema, type Config } from './schema.js';

/** One fault of the configuration. `found` is the value as JSON; values of keys that look like secrets are not shown. */
export interface ConfigFault {
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  readonly origin: string;
}

const secretKey = /key$|token$|password$|secret$/i;

/** Checks raw values against the schema. */
export function checkConfig(
  values: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<string, string>,
): { config: Config } | { faults: ConfigFault[] } {
  const result = configSchema.safeParse(values);
  if (result.success) return { config: result.data };
  return { faults: result.error.issues.flatMap((issue) => faultsOf(issue, values, origins)) };
}

function faultsOf(
  issue: z.core.$ZodIssue,
  values: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<string, string>,
): ConfigFault[] {
  const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
  return paths.map((path) => {
    const name = path.join('.');
    return {
      path: name,
      found: shown(path.map(String), values),
      expected: expectation(issue, path.map(String)),
      origin: originOf(name, origins),
    };
  });
}

function expectation(issue: z.core.$ZodIssue, path: readonly string[]): string {
  if (issue.code !== 'unrecognized_keys') return issue.message.replace(/^Invalid input: /, '');
  if (secretKey.test(path.at(-1) ?? ''))
    return 'expected no secret in this file: name a 0600 file in server.apiKeyFile';
  return 'expected no such setting; `tower config init` lists all';
}

function shown(path: readonly string[], values: unknown): string {
  if (secretKey.test(path.at(-1) ?? '')) return 'a value that is not shown';
  const value = path.reduce<unknown>((table, key) => (table as Record<string, unknown> | undefined)?.[key], values);
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function originOf(name: string, origins: ReadonlyMap<string, string>): string {
  const own = origins.get(name);
  if (own !== undefined) return own;
  for (const [path, origin] of origins) if (path.startsWith(`${name}.`) || name.startsWith(`${path}.`)) return origin;
  return 'default';
}
