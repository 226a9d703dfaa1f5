import { once } from 'node:events';
import { join, resolve } from 'node:path';

import type { Dialect } from '../../sims/comfyui/dialect.js';
import { faultPlanSchema } from '../../sims/comfyui/faults.js';
import { startComfyuiServer } from '../../sims/comfyui/server.js';
import type { CommandContext } from '../command-context.js';
import { interruptible } from '../interruption.js';
import { readFaultPlan, startAt } from './starting.js';

export interface SimulatedComfyuiOptions {
  readonly directory?: string;
  readonly models?: string;
  readonly port: number;
  readonly dialect: Dialect;
  /** Milliseconds. */
  readonly renderTime: number;
  readonly faults?: string;
}

/**
 * Serves until Ctrl-C.
 *
 * @throws TowerError `PORT_TAKEN`; `USAGE` for a fault plan that cannot be read or says nothing known.
 */
export async function runSimulatedComfyui(
  options: SimulatedComfyuiOptions,
  { output, home }: CommandContext,
): Promise<void> {
  const directory = resolve(options.directory ?? join(home, 'sim', 'comfyui'));
  const faults = await readFaultPlan(options.faults, faultPlanSchema);
  const server = await startAt(options.port, () =>
    startComfyuiServer({
      ...{ directory, port: options.port, dialect: options.dialect, faults },
      ...(options.models !== undefined && { models: resolve(options.models) }),
      settings: { renderMs: options.renderTime },
      kill: () => process.kill(process.pid, 'SIGKILL'),
    }),
  );
  const { address, outputDirectory, modelsDirectory } = server;
  try {
    output.line(
      { simulated: true, address, directory, outputDirectory, modelsDirectory },
      [
        'A simulated ComfyUI is up.',
        `  Address ${address}`,
        `  Models  ${modelsDirectory}`,
        `  Images  ${outputDirectory}`,
      ].join('\n'),
    );
    output.say('Ctrl-C ends it; queue and history are forgotten then, files stay.');
    await interruptible(async (signal) => {
      if (!signal.aborted) await once(signal, 'abort');
    });
  } finally {
    await server.close();
  }
}
