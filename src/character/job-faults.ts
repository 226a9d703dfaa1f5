import type { z } from 'zod';

import { nearest } from '../kohya/option-names.js';
import { jobKeys } from './job.js';

const longestFound = 80;

/** What does not fit of a job, one line for each fault: `count: found 0, expected number to be >=1`. */
export function jobFaults(error: z.ZodError, job: unknown): string[] {
  return error.issues.flatMap((issue) => {
    const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
    return paths.map((path) => {
      const found = `${path.join('.') || 'job'}: found ${foundAt(job, path)}, ${expectation(issue)}`;
      return issue.code === 'unrecognized_keys' ? `${found}${proposal(path)}` : found;
    });
  });
}

/** Of the keys of a job itself; those of its sections are few. */
function proposal(path: readonly PropertyKey[]): string {
  const name = path.length === 1 ? nearest(String(path[0]), jobKeys) : undefined;
  return name === undefined ? '' : `; is ${name} meant?`;
}

function expectation(issue: z.core.$ZodIssue): string {
  const message = issue.message.replace(/^(Invalid \w+|Too (small|big)): /, '').replace(/, received .*$/, '');
  if (issue.code === 'unrecognized_keys' && message.startsWith('Unrecognized')) return 'expected no such key';
  return message;
}

function foundAt(job: unknown, path: readonly PropertyKey[]): string {
  const value = path.reduce<unknown>(
    (table, key) =>
      typeof table === 'object' && table !== null ? (table as Record<PropertyKey, unknown>)[key] : undefined,
    job,
  );
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length <= longestFound ? text : `${text.slice(0, longestFound)}…`;
}
