import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import type { z } from 'zod';

import { defectsSchema, faultPlanSchema } from './faults.js';
import { landscapeSchema } from './landscape.js';
import { startSyntxService } from './server.js';

/**
 * `node dist/sims/syntx/main.js --directory <folder> [--port <n>] [--landscape <file>] [--defects <file>] [--faults <file>]
 * [--latency <ms>]`; the files are JSON. Prints one JSON line with the address when it is ready.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string' },
      port: { type: 'string', default: '0' },
      landscape: { type: 'string' },
      defects: { type: 'string' },
      faults: { type: 'string' },
      latency: { type: 'string', default: '0' },
    },
  });
  if (values.directory === undefined) throw new Error('--directory is missing');
  const service = await startSyntxService({
    directory: resolve(values.directory),
    port: Number(values.port),
    landscape: await read(values.landscape, landscapeSchema),
    defects: await read(values.defects, defectsSchema),
    faults: await read(values.faults, faultPlanSchema),
    latencyMs: Number(values.latency),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void service.close());
  process.stdout.write(`${JSON.stringify({ simulated: true, address: service.address, pid: process.pid })}\n`);
}

async function read<Schema extends z.ZodType>(
  file: string | undefined,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  return file === undefined ? undefined : schema.parse(JSON.parse(await readFile(file, 'utf8')));
}

await main();
