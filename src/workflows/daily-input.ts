import { ApplicationFailure } from '@temporalio/workflow';

/** With its zone: without one it would be another time on another machine. */
const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/;

const time = {
  expected: 'an ISO 8601 time with its zone, such as 2026-01-31T13:00:00Z',
  fits: (value: unknown) => typeof value === 'string' && isoTime.test(value) && !Number.isNaN(Date.parse(value)),
};

const flag = { expected: 'true or false', fits: (value: unknown) => typeof value === 'boolean' };

const fields: Readonly<Record<string, { expected: string; fits: (value: unknown) => boolean }>> = {
  scheduledTime: time,
  logicalTime: time,
  force: flag,
  forcePromote: flag,
  host: { expected: 'the name of a GPU host', fits: (value) => typeof value === 'string' && value !== '' },
};

/**
 * Checks what a person may have typed after `temporal workflow start --input`, before anything is done with it.
 *
 * @param names - The fields that the workflow takes.
 * @throws ApplicationFailure `BAD_INPUT` with all faults; it fails the workflow, where a plain error would retry for ever.
 */
export function checkDailyInput(input: unknown, names: readonly string[]): void {
  const faults = isTable(input) ? Object.entries(input).flatMap((entry) => faultOf(entry, names)) : [notATable(input)];
  if (faults.length > 0) throw ApplicationFailure.nonRetryable(faults.join('; '), 'BAD_INPUT');
}

function faultOf([name, value]: [string, unknown], names: readonly string[]): string[] {
  const field = names.includes(name) ? fields[name] : undefined;
  if (field === undefined) return [`${name}: expected one of ${names.join(', ')}`];
  if (value === undefined || field.fits(value)) return [];
  return [`${name}: expected ${field.expected}, found ${JSON.stringify(value)}`];
}

function notATable(input: unknown): string {
  return `expected a JSON object, found ${JSON.stringify(input)}`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
