import type { ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';

import { TowerError } from '../errors.js';
import { findRunningServer } from './server-file.js';

/** Which Temporal server to talk to. May hold an API key: not for logs. */
export interface ResolvedConnection {
  readonly address: string;
  /** To be passed to every client and worker: the connection does not carry it. */
  readonly namespace: string;
  readonly source: 'environment' | 'embedded';
  /** For `Connection.connect` of clients. */
  readonly client: ConnectionOptions;
  /** For `NativeConnection.connect` of workers. */
  readonly native: NativeConnectionOptions;
}

export interface ConnectionSources {
  /** The state directory, for the embedded server that may run there. */
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Only the embedded server counts, whatever the environment and the profiles say. */
  readonly embeddedOnly?: boolean;
}

/**
 * The server that the standard Temporal environment configuration names (`TEMPORAL_*` variables and the profiles of
 * `temporal.toml`), else the running embedded server of the state directory.
 *
 * @throws TowerError `TEMPORAL_CONFIG_INVALID` when the configuration names files or profiles that cannot be used;
 * `NO_TEMPORAL_SERVER` when nothing is configured and no embedded server runs.
 */
export async function resolveConnection(sources: ConnectionSources): Promise<ResolvedConnection> {
  const { connectionOptions, namespace } = readEnvironment(sources.env);
  const { address, apiKey, tls, metadata } = connectionOptions;
  if (address !== undefined && sources.embeddedOnly !== true) {
    const options = { address, apiKey, tls, metadata };
    return { address, namespace: namespace ?? 'default', source: 'environment', client: options, native: options };
  }
  const running = await findRunningServer(sources.home);
  if (running !== undefined) {
    const options = { address: running.address };
    const { namespace } = running;
    return { address: running.address, namespace, source: 'embedded', client: options, native: options };
  }
  throw new TowerError(
    'NO_TEMPORAL_SERVER',
    `no Temporal server: none is configured, and none of this Tower runs (state directory ${sources.home})`,
    { next: 'Start Tower with `tower up`, or name a server in TEMPORAL_ADDRESS.' },
  );
}

function readEnvironment(env: Readonly<Record<string, string | undefined>>): ClientConnectConfig {
  // An empty variable counts as unset; the SDK would take an empty address for one.
  const variables = Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1]));
  try {
    return loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(variables) });
  } catch (error) {
    throw new TowerError('TEMPORAL_CONFIG_INVALID', 'the Temporal environment configuration cannot be used', {
      cause: error,
      next: 'Check TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE and the TEMPORAL_TLS_* paths.',
    });
  }
}
