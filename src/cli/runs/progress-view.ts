import type { Output } from '../output.js';
import { snapshotBars, snapshotLine } from './progress-text.js';
import type { WorkflowSnapshot } from './workflow-snapshot.js';

/** Shows workflows while somebody waits for them. */
export interface ProgressView {
  update(snapshots: readonly WorkflowSnapshot[]): void;
  /** Something to say beside the progress. */
  note(text: string): void;
  close(): void;
}

/** Without a terminal: a line at every change of stage, and beyond that at most one in this time. */
const linePeriodMs = 30_000;

/** Bars on a terminal, plain lines elsewhere; both are talk. */
export async function createProgressView(output: Output): Promise<ProgressView> {
  return output.interactive ? await barsView(output) : linesView(output);
}

/** NDJSON on stdout: a snapshot whenever something has changed. */
export function jsonView(output: Output): ProgressView {
  const shown = new Map<string, string>();
  return {
    update: (snapshots) => {
      for (const snapshot of snapshots) {
        const state = JSON.stringify({ ...snapshot, time: '' });
        if (shown.get(snapshot.workflowId) === state) continue;
        shown.set(snapshot.workflowId, state);
        output.line({ event: 'progress', ...snapshot }, '');
      }
    },
    note: (text) => output.say(text),
    close: () => undefined,
  };
}

async function barsView(output: Output): Promise<ProgressView> {
  const { createLogUpdate } = await import('log-update');
  const area = createLogUpdate(process.stderr);
  return {
    update: (snapshots) => area(snapshots.map(snapshotBars).join('\n')),
    note: (text) => {
      area.clear();
      output.say(text);
    },
    close: () => {
      // The outcome that follows says how it ended; a bar that stands still would only confuse.
      area.clear();
      area.done();
    },
  };
}

function linesView(output: Output): ProgressView {
  const shown = new Map<string, { readonly stage: string; readonly text: string; readonly at: number }>();
  return {
    update: (snapshots) => {
      for (const snapshot of snapshots) {
        const [stage, text, at] = [stageKey(snapshot), snapshotLine(snapshot), Date.parse(snapshot.time)];
        const last = shown.get(snapshot.workflowId);
        if (last?.stage === stage && (last.text === text || at - last.at < linePeriodMs)) continue;
        shown.set(snapshot.workflowId, { stage, text, at });
        output.say(text);
      }
    },
    note: (text) => output.say(text),
    close: () => undefined,
  };
}

/** What counts as a change of stage; steps and times do not. */
function stageKey({ status, stage, activities }: WorkflowSnapshot): string {
  return JSON.stringify([
    status,
    stage,
    activities.map(({ activity, state, attempt, progress }) => [
      ...[activity, state, attempt],
      ...[progress?.stage, progress?.waitsFor?.code],
    ]),
  ]);
}
