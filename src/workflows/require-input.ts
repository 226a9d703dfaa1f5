import { ApplicationFailure } from '@temporalio/workflow';

/**
 * The input of a workflow that cannot do without one.
 *
 * @throws ApplicationFailure `BAD_INPUT`: a plain TypeError would make the workflow task fail for ever instead.
 */
export function requireInput<Input extends object>(workflowType: string, input: Input | undefined): Input {
  if (typeof input === 'object') return input;
  throw ApplicationFailure.nonRetryable(`${workflowType} needs an input, found none (docs/workflows.md)`, 'BAD_INPUT');
}
