import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { z } from 'zod';

import { faultPlanSchema, faultsFromRules } from './faults.js';
import { startSignzMindServer } from './server.js';
import { roles, type SeededUser } from './users.js';

const usersSchema = z.array(
  z.object({
    username: z.string(),
    roles: z.array(z.enum(Object.values(roles) as [string, ...string[]])),
    apiKey: z.string().min(1),
    password: z.string().optional(),
  }),
);

/**
 * `node dist/sims/signz-mind/main.js --directory <folder> [--port <n>] [--users <file>] [--faults <file>]`
 *
 * Users come from a JSON file, or their keys from the environment: SIGNZ_MIND_TOWER_KEY (lists, marks, uploads and looks at
 * models) and SIGNZ_MIND_EDITOR_KEY (uploads batches). Prints one JSON line with the address when it is ready.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string' },
      port: { type: 'string', default: '0' },
      users: { type: 'string' },
      faults: { type: 'string' },
    },
  });
  if (values.directory === undefined) throw new Error('--directory is missing');
  const users = values.users === undefined ? usersOfEnvironment() : usersSchema.parse(await readJson(values.users));
  const rules = values.faults === undefined ? [] : faultPlanSchema.parse(await readJson(values.faults));
  const server = await startSignzMindServer({
    directory: resolve(values.directory),
    port: Number(values.port),
    users: users as SeededUser[],
    faults: faultsFromRules(rules),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
  process.stdout.write(`${JSON.stringify({ simulated: true, address: server.address, pid: process.pid })}\n`);
}

function usersOfEnvironment(): SeededUser[] {
  const towerKey = process.env['SIGNZ_MIND_TOWER_KEY'];
  const editorKey = process.env['SIGNZ_MIND_EDITOR_KEY'];
  const users: SeededUser[] = [];
  if (towerKey) users.push({ username: 'tower', roles: [roles.tower, roles.consumer], apiKey: towerKey });
  if (editorKey) users.push({ username: 'editor', roles: [roles.contributor, roles.consumer], apiKey: editorKey });
  if (users.length === 0) throw new Error('no users: give --users, SIGNZ_MIND_TOWER_KEY or SIGNZ_MIND_EDITOR_KEY');
  return users;
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8')) as unknown;
}

await main();
