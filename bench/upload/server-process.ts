import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { execa } from 'execa';

import { packageRoot } from '../../src/files/package-root.js';

interface ServerProcess {
  readonly address: string;
  readonly apiKey: string;
  stop(): Promise<void>;
}

/** The reference server in a process of its own, with one key. */
export async function startSignzMindProcess(directory: string): Promise<ServerProcess> {
  await mkdir(directory, { recursive: true });
  const apiKey = 'bench';
  const program = join(packageRoot, 'dist', 'sims', 'signz-mind', 'main.js');
  const child = execa(process.execPath, [program, '--directory', directory], {
    env: { SIGNZ_MIND_TOWER_KEY: apiKey },
    stderr: 'inherit',
    reject: false,
  });
  // Its first line says where it listens.
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { address } = JSON.parse(line.toString()) as { address: string };
  return {
    address,
    apiKey,
    async stop() {
      child.kill();
      await child;
    },
  };
}
