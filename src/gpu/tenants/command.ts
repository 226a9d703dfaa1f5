import { execa } from 'execa';

import { tenantFailed, type Tenant } from './tenant.js';

/** A tenant without an interface: a configured command frees the GPU, for example by stopping a service. */
export function commandTenant(argv: readonly string[], { timeoutMs = 120_000 }: { timeoutMs?: number } = {}): Tenant {
  const [file = '', ...rest] = argv;
  const name = `release command \`${argv.join(' ')}\``;
  return {
    name,
    makeRoom: async ({ signal }) => {
      try {
        await execa(file, rest, {
          timeout: timeoutMs,
          cancelSignal: signal,
          forceKillAfterDelay: 5_000,
          stdin: 'ignore',
        });
        return 'freed';
      } catch (error) {
        signal.throwIfAborted();
        throw tenantFailed(name, error);
      }
    },
  };
}
