/** Exit codes of every command; documented in docs/command-line.md and stable. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  partlyDone: 3,
  authentication: 4,
  notFound: 5,
  precondition: 6,
  waitTimedOut: 7,
  cancelled: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const byErrorCode: Readonly<Record<string, ExitCode>> = {
  USAGE: exitCodes.usage,
  CONFIG_INVALID: exitCodes.usage,
  CONFIG_UNREADABLE: exitCodes.usage,
  TEMPORAL_CONFIG_INVALID: exitCodes.usage,
  SCHEDULE_INVALID: exitCodes.usage,
  CRON_INVALID: exitCodes.usage,
  API_KEY_MISSING: exitCodes.authentication,
  API_KEY_FILE_UNSAFE: exitCodes.authentication,
  SERVER_KEY_REJECTED: exitCodes.authentication,
  TEMPORAL_REJECTED: exitCodes.authentication,
  NOT_FOUND: exitCodes.notFound,
  SCHEDULE_UNKNOWN: exitCodes.notFound,
  BATCH_UNKNOWN: exitCodes.notFound,
  UNKNOWN_VERSION: exitCodes.notFound,
  LOCAL_FILE_UNREADABLE: exitCodes.notFound,
  ALREADY_RUNNING: exitCodes.precondition,
  ALREADY_PAUSED: exitCodes.precondition,
  NOT_PAUSED: exitCodes.precondition,
  NOT_RUNNING: exitCodes.precondition,
  STATE_DIRECTORY_LOCKED: exitCodes.precondition,
  TEMPORAL_UNREACHABLE: exitCodes.precondition,
  NO_TEMPORAL_SERVER: exitCodes.precondition,
  TEMPORAL_CLI_UNUSABLE: exitCodes.precondition,
  TOOL_UNAVAILABLE: exitCodes.precondition,
  EMBEDDED_SERVER_RUNNING: exitCodes.precondition,
  SCHEDULE_NOT_OURS: exitCodes.precondition,
  FILE_EXISTS: exitCodes.precondition,
  PYTHON_NOT_FOUND: exitCodes.precondition,
  PORT_TAKEN: exitCodes.precondition,
  DISK_FULL: exitCodes.precondition,
  TRAINER_ENVIRONMENT_MISSING: exitCodes.precondition,
  LEDGER_MISSING: exitCodes.precondition,
  LEDGER_OUTDATED: exitCodes.precondition,
  BATCH_NOT_QUARANTINED: exitCodes.precondition,
  RAW_FILE_GONE: exitCodes.precondition,
  NO_TRAINING_DATA: exitCodes.precondition,
  VERSION_NOT_TRAINED: exitCodes.precondition,
  VERSION_NOT_PROMOTED: exitCodes.precondition,
  NO_EARLIER_CHAMPION: exitCodes.precondition,
  WAIT_TIMED_OUT: exitCodes.waitTimedOut,
  CANCELLED: exitCodes.cancelled,
};

/** The exit code of an error code; anything unknown is a plain failure. */
export function exitCodeOf(errorCode: string): ExitCode {
  return byErrorCode[errorCode] ?? exitCodes.failed;
}
