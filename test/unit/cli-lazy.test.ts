import Module from 'node:module';

import { expect, it } from 'vitest';

import { createProgram } from '../../src/cli/program.js';

const loadedSdk = () => {
  const { _cache: cache } = Module as unknown as { _cache: Record<string, unknown> };
  return Object.keys(cache).filter((path) => /node_modules\/(@temporalio|@grpc|protobufjs)\//.test(path));
};

it('answers --help without loading the Temporal SDK', async () => {
  const program = createProgram(() => undefined);
  expect(program.helpInformation()).toContain('status');
  expect(loadedSdk()).toEqual([]);
  // The same look finds the SDK once a command needs it.
  await import('../../src/cli/runs/run-daily.js');
  expect(loadedSdk()).not.toEqual([]);
});
