import { hostname } from 'node:os';

import type { Config } from './schema.js';

/** Name of this machine in task queues: `host` of the configuration, else the host name without its domain. */
export function hostNameOf(config: Config): string {
  if (config.host !== undefined) return config.host;
  const name = hostname().split('.')[0] ?? '';
  return name.replace(/[^a-zA-Z0-9._-]/g, '-') || 'localhost';
}
