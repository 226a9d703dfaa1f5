import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { z } from 'zod';

import { faultPlanSchema } from './faults.js';
import { startComfyuiServer } from './server.js';
import { settingsSchema } from './settings.js';

/**
 * `node dist/sims/comfyui/main.js --directory <folder> [--models <folder>] [--port <n>] [--dialect A|B|N]
 *   [--settings <json>] [--faults <file>]`
 *
 * Prints one JSON line with the address when it is ready. The fault `kill` ends this process with SIGKILL.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string' },
      models: { type: 'string' },
      port: { type: 'string', default: '0' },
      dialect: { type: 'string', default: 'B' },
      settings: { type: 'string', default: '{}' },
      faults: { type: 'string' },
    },
  });
  if (values.directory === undefined) throw new Error('--directory is missing');
  const server = await startComfyuiServer({
    directory: resolve(values.directory),
    ...(values.models !== undefined && { models: resolve(values.models) }),
    port: Number(values.port),
    dialect: z.enum(['A', 'B', 'N']).parse(values.dialect),
    settings: settingsSchema.parse(JSON.parse(values.settings)),
    faults: values.faults === undefined ? [] : faultPlanSchema.parse(JSON.parse(await readFile(values.faults, 'utf8'))),
    kill: () => process.kill(process.pid, 'SIGKILL'),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
  process.stdout.write(`${JSON.stringify({ simulated: true, address: server.address, pid: process.pid })}\n`);
}

await main();
