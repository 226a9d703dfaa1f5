import { hostNameOf } from '../config/host-name.js';
import type { Config } from '../config/schema.js';
import { TowerError } from '../errors.js';
import { hostQueue } from '../temporal/task-queues.js';
import { listLivingWorkers } from '../temporal/living-workers.js';
import type { TemporalSession } from './temporal-client.js';

/**
 * Refuses a GPU host that neither the configuration names nor any worker serves, before anything is started for it. A host whose
 * worker is away at the moment is one: work for it waits.
 *
 * @throws TowerError `UNKNOWN_HOST` naming those that there are.
 */
export async function requireHost(session: TemporalSession, host: string, config: Config): Promise<void> {
  const configured = config.hosts?.map(({ name }) => name) ?? [hostNameOf(config)];
  if (configured.includes(host)) return;
  // Whoever starts work from another machine need not have its hosts in a configuration.
  const served = hostsServed((await listLivingWorkers(session.client)).map(({ queue }) => queue));
  if (served.includes(host)) return;
  const known = [...new Set([...configured, ...served])].join(', ');
  throw new TowerError('UNKNOWN_HOST', `no GPU host is called ${host}; there are: ${known}`, {
    next: 'Name one of them by --host, or add it to `hosts` in the configuration.',
  });
}

/** Hosts of these task queues. `gpu-box-0` is a GPU of `box` where `gpu-box` is served, too. */
function hostsServed(queues: readonly string[]): string[] {
  const prefix = hostQueue('');
  const names = queues.flatMap((queue) => (queue.startsWith(prefix) ? [queue.slice(prefix.length)] : []));
  const isHost = (name: string) =>
    !/-\d+$/.test(name) ||
    !names.includes(name.replace(/-\d+$/, '')) ||
    // A host whose own name ends in a number has a GPU, too.
    names.some((other) => other.startsWith(`${name}-`));
  return [...new Set(names)].filter(isHost).sort();
}
