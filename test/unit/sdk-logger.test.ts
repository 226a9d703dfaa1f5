import { pino } from 'pino';
import { expect, it } from 'vitest';

import { sdkLogger } from '../../src/log/sdk-logger.js';

function recording() {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { logger: sdkLogger(log), lines };
}

it('writes a warning that every poller repeats while the server is away once, not at each try', () => {
  const { logger, lines } = recording();

  for (let tries = 1; tries <= 500; tries += 1) {
    logger.warn(`gRPC call poll_activity_task_queue retried ${tries} times`, { sdkComponent: 'core' });
  }
  logger.warn('gRPC call poll_workflow_task_queue retried 1 times', { sdkComponent: 'core' });

  expect(lines.map(({ msg }) => msg)).toEqual([
    'gRPC call poll_activity_task_queue retried 1 times',
    'gRPC call poll_workflow_task_queue retried 1 times',
  ]);
});

it('leaves out no error, and no warning of a workflow', () => {
  const { logger, lines } = recording();

  logger.error('lost', { sdkComponent: 'core' });
  logger.error('lost', { sdkComponent: 'core' });
  logger.warn('a GPU host did not answer', { sdkComponent: 'workflow' });
  logger.warn('a GPU host did not answer', { sdkComponent: 'workflow' });

  expect(lines).toHaveLength(4);
});
