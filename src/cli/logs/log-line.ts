import { z } from 'zod';

/** The levels of Tower's log, lowest first. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Fields that name a run in the log: of training, of a workflow, or the adapter's version. */
const runFields = ['run', 'runId', 'workflowId', 'workflowRunId', 'version'] as const;

const lineSchema = z.looseObject({ level: z.string(), time: z.string(), msg: z.string().optional() });

/** One line of the log; further fields are what the writer bound to it. */
export type LogLine = z.output<typeof lineSchema>;

export interface LogFilter {
  readonly run?: string | undefined;
  readonly level?: LogLevel | undefined;
}

/** A line of the file as an object; `undefined` for anything else, such as the torn last line of a crash. */
export function parseLogLine(text: string): LogLine | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export function passes(line: LogLine, filter: LogFilter): boolean {
  if (filter.level !== undefined && rank(line.level) < rank(filter.level)) return false;
  return filter.run === undefined || runFields.some((field) => line[field] === filter.run);
}

/** Levels that Tower does not write, such as `fatal`, are never hidden. */
function rank(level: string): number {
  const index = (logLevels as readonly string[]).indexOf(level);
  return index === -1 ? logLevels.length : index;
}
