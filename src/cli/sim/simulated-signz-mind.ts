import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { writeFileDurable } from '../../files/durable-write.js';
import { faultPlanSchema, faultsFromRules } from '../../sims/signz-mind/faults.js';
import { startSignzMindServer } from '../../sims/signz-mind/server.js';
import { roles, type SeededUser } from '../../sims/signz-mind/users.js';
import type { CommandContext } from '../command-context.js';
import { interruptible } from '../interruption.js';
import { readFaultPlan, startAt } from './starting.js';

/**
 * Serves until Ctrl-C. Keys are made once and kept in the folder, in files that only their owner can read; they are named,
 * never printed.
 *
 * @throws TowerError `PORT_TAKEN`; `USAGE` for a fault plan that cannot be read or says nothing known.
 */
export async function runSimulatedSignzMind(
  options: { readonly directory?: string; readonly port: number; readonly faults?: string },
  { output, home }: CommandContext,
): Promise<void> {
  const directory = resolve(options.directory ?? join(home, 'sim', 'signz-mind'));
  const keyFiles = { tower: join(directory, 'tower.key'), editor: join(directory, 'editor.key') };
  const users: SeededUser[] = [
    { username: 'tower', roles: [roles.tower, roles.consumer], apiKey: await keyIn(keyFiles.tower) },
    { username: 'editor', roles: [roles.contributor, roles.consumer], apiKey: await keyIn(keyFiles.editor) },
  ];
  const faults = faultsFromRules(await readFaultPlan(options.faults, faultPlanSchema));
  const server = await startAt(options.port, () =>
    startSignzMindServer({ directory, port: options.port, users, faults }),
  );
  try {
    output.line({ simulated: true, address: server.address, directory, keyFiles }, readyText(server.address, keyFiles));
    output.say('Ctrl-C ends it; what it has received stays in its folder.');
    await interruptible(async (signal) => {
      if (!signal.aborted) await once(signal, 'abort');
    });
  } finally {
    await server.close();
  }
}

function readyText(address: string, keyFiles: { readonly tower: string; readonly editor: string }): string {
  return [
    'A simulated Signz-Mind server is up.',
    `  Address     ${address}`,
    `  Tower's key ${keyFiles.tower}`,
    `  Editor key  ${keyFiles.editor}`,
    `  Use it with --set server.url=${address} --set server.apiKeyFile=${keyFiles.tower}`,
  ].join('\n');
}

/** The key in a file; a missing or empty file gets a new one. */
async function keyIn(file: string): Promise<string> {
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  if (found.trim() !== '') return found.trim();
  const key = randomBytes(24).toString('base64url');
  await writeFileDurable(file, `${key}\n`, 0o600);
  return key;
}
