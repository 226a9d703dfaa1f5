import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { resolveConnection } from '../../src/temporal/connection.js';
import { findRunningServer, identifyProcess, writeServerRecord } from '../../src/temporal/server-file.js';

let home: string;
/** Keeps a `temporal.toml` of the person who runs the tests out. */
let env: Record<string, string | undefined>;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  env = { XDG_CONFIG_HOME: home, HOME: home };
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

async function recordServer(pid: number, startTimeOffset = 0): Promise<void> {
  const identity = identifyProcess(pid);
  if (identity === undefined) throw new Error(`no process ${pid}`);
  await writeServerRecord(home, {
    address: '127.0.0.1:7301',
    uiAddress: 'http://127.0.0.1:8301',
    namespace: 'default',
    cliVersion: '1.9.1',
    startedAt: new Date().toISOString(),
    process: { ...identity, startTime: identity.startTime + startTimeOffset },
    owner: identity,
  });
}

describe('resolveConnection', () => {
  it('takes address, namespace, API key and metadata of the Temporal variables', async () => {
    await recordServer(process.pid);
    const resolved = await resolveConnection({
      home,
      env: {
        ...env,
        TEMPORAL_ADDRESS: 'cloud.example:7233',
        TEMPORAL_NAMESPACE: 'team',
        TEMPORAL_API_KEY: 'not-a-real-key',
        TEMPORAL_GRPC_META_MY_HEADER: 'value',
      },
    });
    expect(resolved).toMatchObject({ address: 'cloud.example:7233', namespace: 'team', source: 'environment' });
    expect(resolved.client).toMatchObject({ apiKey: 'not-a-real-key', tls: true, metadata: { 'my-header': 'value' } });
    expect(resolved.native).toEqual(resolved.client);
  });

  it('takes the chosen profile of the configuration file', async () => {
    const file = join(home, 'temporal.toml');
    const profile =
      '[profile.office]\naddress = "office.example:7233"\nnamespace = "tower"\n[profile.office.tls]\nserver_name = "inside"\n';
    await writeFile(file, profile);
    const resolved = await resolveConnection({
      home,
      env: { ...env, TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'office' },
    });
    expect(resolved).toMatchObject({ address: 'office.example:7233', namespace: 'tower' });
    expect(resolved.client.tls).toMatchObject({ serverNameOverride: 'inside' });
  });

  it('refuses a profile that is not there', async () => {
    await expect(resolveConnection({ home, env: { ...env, TEMPORAL_PROFILE: 'absent' } })).rejects.toMatchObject({
      code: 'TEMPORAL_CONFIG_INVALID',
    });
  });

  it('finds the running embedded server of the state directory', async () => {
    await recordServer(process.pid);
    expect(await resolveConnection({ home, env })).toMatchObject({
      address: '127.0.0.1:7301',
      namespace: 'default',
      source: 'embedded',
    });
  });

  it('does not take another process with the same number for the server, and says what to do', async () => {
    await recordServer(process.pid, -1);
    expect(await findRunningServer(home)).toBeUndefined();
    await expect(resolveConnection({ home, env })).rejects.toMatchObject({
      code: 'NO_TEMPORAL_SERVER',
      next: expect.stringContaining('tower up') as unknown,
    });
  });

  it('refuses a server file that is damaged', async () => {
    await recordServer(process.pid);
    await writeFile(join(home, 'temporal', 'server.json'), '{"address": 1}');
    await expect(resolveConnection({ home, env })).rejects.toMatchObject({ code: 'FILE_INVALID' });
  });
});
