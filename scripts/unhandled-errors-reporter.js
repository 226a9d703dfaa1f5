import { writeFileSync } from 'node:fs';

/** Vitest reporter: errors that belong to no test, as a JSON list in the file `UNHANDLED_ERRORS_FILE`. The JSON reporter leaves them out. */
export default class UnhandledErrorsReporter {
  onTestRunEnd(_modules, unhandledErrors) {
    const errors = unhandledErrors.map(({ stack, message }) => stack ?? message);
    writeFileSync(process.env.UNHANDLED_ERRORS_FILE, JSON.stringify(errors));
  }
}
