/**
 * `npm run record-histories [-- <part of a file's name> …] [-t <part of a test's name>]`: records the histories that the replay tests
 * replay, from cycles on the real Temporal server, into `test/replay/histories/`. To be run, and its result committed, when a
 * workflow has changed in a way that no running workflow has to survive; otherwise the change goes behind `patched` and the
 * recorded histories stay.
 */
import { parseArgs } from 'node:util';

import { startVitest } from 'vitest/node';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { test: { type: 'string', short: 't' } },
});
const vitest = await startVitest('test', positionals, {
  testNamePattern: values.test,
  root: new URL('..', import.meta.url).pathname,
  config: false,
  include: ['test/replay/record-*.ts'],
  testTimeout: 180_000,
  hookTimeout: 180_000,
});
await vitest.close();
