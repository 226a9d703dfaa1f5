import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa } from 'execa';
import { expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';

it('a worker without a server says so and ends, so that systemd starts it again', async () => {
  const home = await mkdtemp(join(tmpdir(), 'tower-'));
  try {
    const worker = await execa(process.execPath, [join(packageRoot, 'dist', 'client.js'), 'worker', '--role', 'gpu'], {
      env: { PATH: process.env['PATH'], TOWER_HOME: home, XDG_CONFIG_HOME: home },
      extendEnv: false,
      reject: false,
      timeout: 20_000,
    });

    expect(worker.stderr).toContain('NO_TEMPORAL_SERVER');
    expect(worker.exitCode).toBe(6);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
