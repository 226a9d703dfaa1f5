import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { packageRoot } from '../../src/files/package-root.js';

/** Recorded by `npm run record-histories`. */
export const historiesDirectory = join(packageRoot, 'test', 'replay', 'histories');

export interface RecordedHistory {
  readonly name: string;
  readonly workflowType: string;
  readonly workflowId: string;
  /** As the SDK's replay takes it: Temporal's own JSON of a history. */
  readonly history: { readonly events: readonly Record<string, unknown>[] };
}

/** All recorded histories, by name of the file. */
export function recordedHistories(): RecordedHistory[] {
  return readdirSync(historiesDirectory)
    .sort()
    .map((file) => {
      const history = JSON.parse(readFileSync(join(historiesDirectory, file), 'utf8')) as RecordedHistory['history'];
      const started = history.events[0]?.['workflowExecutionStartedEventAttributes'];
      const { workflowType, workflowId } = started as { workflowType: { name: string }; workflowId: string };
      return { name: file.replace('.json', ''), workflowType: workflowType.name, workflowId, history };
    });
}
