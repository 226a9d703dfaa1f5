import { ApplicationFailure, patched, workflowInfo } from '@temporalio/workflow';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

import { consumeWorkflowId, promptWorkflowIds } from './names.js';

const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/;

interface Field {
  readonly expected: string;
  readonly fits: (value: unknown) => boolean;
}

const time: Field = {
  expected: 'an ISO 8601 time with its zone, such as 2026-01-31T13:00:00Z',
  fits: (value) => typeof value === 'string' && isoTime.test(value) && !Number.isNaN(Date.parse(value)),
};
const flag: Field = { expected: 'true or false', fits: (value) => typeof value === 'boolean' };
const amount: Field = {
  expected: 'a whole number from 1 to 500',
  fits: (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 500,
};

const fields: Readonly<Record<string, Field>> = {
  kind: {
    expected: 'produce, consume, monitor or clean',
    fits: (value) => ['produce', 'consume', 'monitor', 'clean'].includes(value as string),
  },
  wrapper: {
    expected: 'the name of a wrapper without `syntex_wrapper_`, such as sigma',
    fits: (value) => typeof value === 'string' && /^[\p{L}\p{N}_-]{1,100}$/u.test(value) && !isFileName(value),
  },
  ...{ scheduledTime: time, logicalTime: time, force: flag, dryRun: flag, count: amount, batch: amount },
};

/** With the prefix of its file a wrapper would be another consumer than without; runs that began with an older Tower go on. */
function isFileName(wrapper: string): boolean {
  return wrapper.startsWith('syntex_wrapper_') && patched('wrappers-have-no-prefix');
}

/**
 * Checks what a person may have typed after `temporal workflow start --input`.
 *
 * @param names - The fields that the workflow takes; those in `required` must be there.
 * @throws ApplicationFailure `BAD_INPUT` with all faults
 */
export function checkPromptInput(
  input: unknown,
  { names, required = [] }: { readonly names: readonly string[]; readonly required?: readonly string[] },
): void {
  const faults = isTable(input)
    ? [
        ...Object.entries(input).flatMap((entry) => faultOf(entry, names)),
        ...required
          .filter((name) => input[name] === undefined)
          .map((name) => `${name}: expected ${fields[name]?.expected}, found nothing`),
      ]
    : [`expected a JSON object, found ${JSON.stringify(input)}`];
  if (faults.length > 0) throw ApplicationFailure.nonRetryable(faults.join('; '), 'BAD_INPUT');
}

/** One run at a time of each kind, whoever starts it: the workflow ids are fixed, and any other is refused. */
export function requirePromptId(kind: 'produce' | 'consume' | 'monitor' | 'clean', wrapper?: string): void {
  const { workflowId, workflowType } = workflowInfo();
  const expected = kind === 'consume' ? consumeWorkflowId(wrapper ?? '') : promptWorkflowIds[kind];
  if (workflowId === expected) return;
  throw ApplicationFailure.nonRetryable(
    `${workflowType} runs only under the workflow id ${expected}; start promptTick, or use \`tower run ${kind}\``,
    'WRONG_WORKFLOW_ID',
  );
}

/** The logical time of a run, ISO 8601 UTC: as it was told, else its start. */
export function logicalTimeOf({ logicalTime }: { readonly logicalTime?: string | undefined }): string {
  return new Date(logicalTime ?? workflowInfo().startTime).toISOString();
}

const scheduledStartTimeKey = defineSearchAttributeKey('TemporalScheduledStartTime', SearchAttributeType.DATETIME);

/** The schedule's own time for this action; the server records it as a search attribute. */
export function scheduledStartTime(): string | undefined {
  return workflowInfo().typedSearchAttributes.get(scheduledStartTimeKey)?.toISOString();
}

function faultOf([name, value]: [string, unknown], names: readonly string[]): string[] {
  const field = names.includes(name) ? fields[name] : undefined;
  if (field === undefined) return [`${name}: expected one of ${names.join(', ')}`];
  if (value === undefined || field.fits(value)) return [];
  return [`${name}: expected ${field.expected}, found ${JSON.stringify(value)}`];
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
