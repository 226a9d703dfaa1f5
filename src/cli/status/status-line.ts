import type { Output } from '../output.js';

/** Talk of a long preparation: what happens now. */
export interface StatusLine {
  readonly show: (phase: string, message: string) => void;
  /** Repeatable. */
  readonly close: () => void;
}

/** On a terminal the newest message in one place; elsewhere one line for each phase. */
export async function createStatusLine(output: Output): Promise<StatusLine> {
  if (!output.interactive) {
    let last = '';
    const show = (phase: string, message: string) => {
      if (phase !== last) output.say(`${phase}: ${message}`);
      last = phase;
    };
    return { show, close: () => undefined };
  }
  const { createLogUpdate } = await import('log-update');
  const area = createLogUpdate(process.stderr);
  const show = (phase: string, message: string) => {
    area(`${phase}  ${message.slice(0, (process.stderr.columns || 80) - phase.length - 3)}`);
  };
  const close = () => {
    area.clear();
    area.done();
  };
  return { show, close };
}
